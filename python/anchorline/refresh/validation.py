"""Validate what a refresh has changed: the marts' suite, on the changed lineages and days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg import Connection

from anchorline.expectations.validation import Validator
from anchorline.refresh.log import Changes

MOST_ASSIGNMENTS: Final = 1000
"""Above so many changed assignments the whole farm is validated."""


class ChangeValidation:
    """Called with what has changed; answers with what is wrong, a line each.

    The process with Great Expectations stays, for the next refresh: close it at the end.
    """

    def __init__(self, target: str, *, variables: Mapping[str, Any] | None = None) -> None:
        self._validator = Validator(target)
        self._variables = dict(variables or {})

    def close(self) -> None:
        """End the process."""
        self._validator.__exit__(None, None, None)

    def __call__(self, connection: Connection, changes: Changes) -> Sequence[str]:
        """Validate the changed assignments from the first changed day on."""
        is_small = len(changes.assignment_ids) <= MOST_ASSIGNMENTS
        found = self._validator.validate(
            ("marts",),
            variables=self._variables,
            assignment_ids=changes.assignment_ids if is_small else (),
            first_date=changes.from_date if is_small else None,
        )
        return [
            f"{outcome.id}: {outcome.reason or f'{outcome.rows_failed} rows are wrong'}"
            for outcome in found.errors
        ]
