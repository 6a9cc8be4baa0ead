"""Run suites on a target: what `anchorline validate` and other commands call."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from anchorline import console
from anchorline.connection import connect, connection_parameters
from anchorline.errors import AnchorlineError
from anchorline.expectations.limits import find_limit, find_raw_limit, kept_batches
from anchorline.expectations.names import Catalogue, Names, for_target
from anchorline.expectations.outcomes import Outcome, from_json
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


class Validator:
    """A process that validates a target, again and again: a context manager.

    Great Expectations runs in a process of its own, because its import takes seconds that no
    other command should pay; who validates often keeps the process and pays once.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._worker: subprocess.Popen[str] | None = None
        self._address: dict[str, Any] = {}
        self._open = contextlib.ExitStack()
        self._said = self._open.enter_context(
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        )

    def __enter__(self) -> Self:
        """Return itself; the process starts with the first validation."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process, and after an error at once: what it asks of the server, too."""
        with self._open:
            self._stop(at_once=kind is not None)

    def validate(
        self,
        suites: tuple[str, ...] = SUITES,
        *,
        docs_folder: Path | None = None,
        as_of: date | None = None,
        variables: Mapping[str, Any] | None = None,
        batch_numbers: Collection[str] = (),
        assignment_ids: Collection[int] = (),
        first_date: date | None = None,
    ) -> Validation:
        """Evaluate suites and write Data Docs into a folder, where one is given.

        Batches or assignments limit it to their lineages, and `first_date` to the days since
        the Monday before it. Then the expectations of the raw suite keep to the batches, and
        those that speak of the whole farm are skipped. Changes nothing in the database.
        """
        with connect(self._target, autocommit=True) as connection:
            names = for_target(self._target, connection, as_of=as_of, variables=variables)
            if "marts" in suites and not Catalogue(connection, names).has(_BUILT):
                raise AnchorlineError(
                    f"There is no table {names.schema(_BUILT)}.{_BUILT.name}: the marts of target "
                    f"{self._target} have not been built. Run `dbt build --target "
                    f"{self._target}`, or validate the raw tables alone: --suite raw"
                )
            limit = None
            kept = kept_batches(connection, names) if "marts" in suites else None
            if kept is not None and not assignment_ids:
                numbers = sorted(set(batch_numbers or kept) & set(kept))
                if batch_numbers and not numbers:
                    raise AnchorlineError(
                        f"Of {', '.join(sorted(batch_numbers))}, or of batches tied to it by "
                        "movements, old states have been dropped (var states_kept_years): what "
                        "adds up over a life cannot be checked any more."
                    )
                limit = replace(
                    find_limit(connection, names, batch_numbers=numbers),
                    is_of_marts=not batch_numbers,
                )
            elif (batch_numbers or assignment_ids) and "marts" in suites:
                limit = find_limit(
                    connection,
                    names,
                    batch_numbers=batch_numbers,
                    assignment_ids=assignment_ids,
                    first_date=first_date,
                )
            elif batch_numbers:
                limit = find_raw_limit(connection, names, batch_numbers)
            elif assignment_ids or first_date:
                raise ValueError("a first day needs batches or assignments, and these the marts")
        if docs_folder is not None:
            _make_writable(docs_folder)
        answer = self._ask(
            {
                "suites": list(suites),
                "target": self._target,
                "schemas": dict(names.schemas),
                "as_of": names.as_of.isoformat(),
                "variables": dict(names.variables),
                "docs_folder": str(docs_folder.resolve()) if docs_folder else None,
                "limit": limit.as_json() if limit else None,
            }
        )
        docs = answer["docs"]
        return Validation(
            replace(names, limit=limit),
            from_json(answer["outcomes"]),
            Path(docs) if docs else None,
        )

    def _ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        worker = self._running()
        line = ""
        try:
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps(job, default=str), file=worker.stdin, flush=True)
                line = next(iter(worker.stdout or ()), "")
        except BaseException:
            self._stop(at_once=True)
            raise
        if not line:
            raise self._broken_off(worker)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise AnchorlineError(answer["error"], details=answer["details"])
        return answer

    def _running(self) -> subprocess.Popen[str]:
        address = connection_parameters(self._target)
        if self._worker is None or self._worker.poll() is not None or address != self._address:
            self._stop(at_once=True)
            self._address = address
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "anchorline.expectations.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                encoding="utf-8",
                env={**os.environ, "GX_ANALYTICS_ENABLED": "false"},
            )
        return self._worker

    def _stop(self, *, at_once: bool) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if at_once:
            worker.terminate()
        with contextlib.suppress(BrokenPipeError), worker:
            pass  # closes its input, at which it ends, and waits

    def _broken_off(self, worker: subprocess.Popen[str]) -> AnchorlineError:
        code = worker.wait()
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return AnchorlineError(
            "The validation broke off before it had a result"
            + (f" (signal {-code}: out of memory?)" if code < 0 else "")
            + (f": {lines[-1]}" if lines else ".")
            + " Nothing in the database was changed.",
            details="\n".join(lines[-40:]),
        )


def validate(
    target: str,
    suites: tuple[str, ...] = SUITES,
    *,
    docs_folder: Path,
    as_of: date | None = None,
    variables: Mapping[str, Any] | None = None,
    batch_numbers: Collection[str] = (),
) -> Validation:
    """Evaluate the suites on a target once: see `Validator.validate`."""
    with Validator(target) as validator, console.err.status("Great Expectations at work"):
        return validator.validate(
            suites,
            docs_folder=docs_folder,
            as_of=as_of,
            variables=variables,
            batch_numbers=batch_numbers,
        )


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise AnchorlineError(
            f"The Data Docs cannot be written into {folder}. Name another folder: --out DIR"
        ) from error
