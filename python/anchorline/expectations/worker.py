"""The process of its own: `python -m anchorline.expectations.worker`, called by validation.py.

Reads jobs as JSON from standard input, one a line, until it ends, and answers each with a line
on standard output: the outcomes, or an error that a person can put right.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from anchorline.errors import AnchorlineError, causes
from anchorline.expectations.limits import Limit
from anchorline.expectations.names import Names
from anchorline.expectations.outcomes import as_json
from anchorline.expectations.questions import Questions
from anchorline.expectations.suites import read_suite

_asked: list[Questions] = []
"""The questions of the latest job."""


def _end(*_: object) -> NoReturn:
    """End at once. An exception could be swallowed by what is being imported."""
    for questions in _asked:
        questions.cancel()
    os._exit(128 + signal.SIGTERM)


def main() -> None:
    """Do jobs until there are no more."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller, who hears it too, sends the other
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the library prints advice
        for line in sys.stdin:
            answers.write(json.dumps(_answer(json.loads(line)), default=str) + "\n")
            answers.flush()


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    try:
        return _do(job)
    except AnchorlineError as error:
        because = [f"because: {cause}" for cause in causes(error)]
        return {
            "error": str(error),
            "details": "\n".join([*because, *([error.details] if error.details else [])]),
        }


def _do(job: dict[str, Any]) -> dict[str, Any]:
    limit = Limit.from_json(job["limit"]) if job["limit"] else None
    names = Names(job["schemas"], date.fromisoformat(job["as_of"]), job["variables"], limit)
    suites = [read_suite(name) for name in job["suites"]]
    docs_folder = Path(job["docs_folder"]) if job["docs_folder"] else None
    questions = Questions(job["target"], names, suites)
    _asked[:] = [questions]  # before it asks the first
    with questions:
        from anchorline.expectations.evaluation import evaluate

        questions.raise_if_lost()
        outcomes, docs = evaluate(suites, names, job["target"], questions, docs_folder)
    return {"docs": docs, "outcomes": as_json(outcomes)}


if __name__ == "__main__":
    main()
