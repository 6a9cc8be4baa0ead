"""The process of its own: `python -m anchorline.expectations.worker`, called by validation.py.

Reads a job as JSON from standard input and writes the outcomes to the file that it names.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from datetime import date
from pathlib import Path

from anchorline.expectations.evaluation import evaluate
from anchorline.expectations.names import Names
from anchorline.expectations.outcomes import write_outcomes
from anchorline.expectations.suites import read_suite


def main() -> None:
    """Do one job."""
    job = json.load(sys.stdin)
    names = Names(job["schemas"], date.fromisoformat(job["as_of"]), job["variables"])
    suites = [read_suite(name) for name in job["suites"]]
    with contextlib.redirect_stdout(io.StringIO()):  # the library prints advice
        outcomes, docs = evaluate(suites, names, job["target"], Path(job["docs_folder"]))
    write_outcomes(Path(job["outcomes_file"]), outcomes, docs)


if __name__ == "__main__":
    main()
