"""Expectation suites at the two boundaries: raw tables in, marts out.

`suites/*.json` say what must hold, `suites.py` reads them, `names.py` fits them to a database,
`evaluation.py` asks Great Expectations (a process of its own: its import takes seconds), and
`validation.py` is what the command line calls.
"""
