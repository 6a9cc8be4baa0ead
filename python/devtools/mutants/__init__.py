"""The mutation check: whether some check notices a change of the SQL in one place.

`generator` makes the mutants of a query, `arena` holds farms in a database and tries one mutant
on them, `unit_tests` tries it on dbt's unit tests, `check` tries all of them, `equivalent` reads
the list of those that cannot be noticed, and `__main__` is the command.
"""
