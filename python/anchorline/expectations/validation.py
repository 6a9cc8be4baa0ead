"""Run suites on a target: what `anchorline validate` and other commands call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from anchorline import console
from anchorline.connection import connect
from anchorline.errors import AnchorlineError
from anchorline.expectations.names import Catalogue, Names, for_target
from anchorline.expectations.outcomes import Outcome, read_outcomes
from anchorline.expectations.suites import SUITES, Relation

_BUILT = Relation("marts", "daily_assignment_states")


@dataclass(frozen=True)
class Validation:
    """What a run of suites found; `docs` is the first page of the Data Docs."""

    names: Names
    outcomes: list[Outcome]
    docs: Path | None

    @property
    def errors(self) -> list[Outcome]:
        """The outcomes that make the validation fail."""
        return [outcome for outcome in self.outcomes if outcome.is_error]


def validate(
    target: str,
    suites: tuple[str, ...] = SUITES,
    *,
    docs_folder: Path,
    as_of: date | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Validation:
    """Evaluate the suites on a target and write Data Docs into a folder.

    Changes nothing in the database. Great Expectations runs in a process of its own, because
    its import takes seconds that no other command should pay.
    """
    with connect(target, autocommit=True) as connection:
        names = for_target(target, connection, as_of=as_of, variables=variables)
        if "marts" in suites and not Catalogue(connection, names).has(_BUILT):
            raise AnchorlineError(
                f"There is no table {names.schema(_BUILT)}.{_BUILT.name}: the marts of target "
                f"{target} have not been built. Run `dbt build --target {target}`, or validate "
                "the raw tables alone: --suite raw"
            )
    docs_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="anchorline-") as folder:
        outcomes_file = Path(folder) / "outcomes.json"
        _run_worker(
            {
                "suites": list(suites),
                "target": target,
                "schemas": dict(names.schemas),
                "as_of": names.as_of.isoformat(),
                "variables": dict(names.variables),
                "docs_folder": str(docs_folder.resolve()),
                "outcomes_file": str(outcomes_file),
            }
        )
        outcomes, docs = read_outcomes(outcomes_file)
    return Validation(names, outcomes, Path(docs) if docs else None)


def _run_worker(job: Mapping[str, Any]) -> None:
    command = [sys.executable, "-m", "anchorline.expectations.worker"]
    with console.err.status("Great Expectations at work"):
        done = subprocess.run(
            command,
            input=json.dumps(job, default=str),
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "GX_ANALYTICS_ENABLED": "false"},
            check=False,
        )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise AnchorlineError(
            "The validation broke off before it had a result"
            + (f" (signal {-done.returncode}: out of memory?)" if done.returncode < 0 else "")
            + (f": {lines[-1]}" if lines else ".")
            + " Nothing in the database was changed.",
            details="\n".join(lines[-40:]),
        )
