"""What became of each expectation: passed to and fro between the two processes as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

PASSED: Final = "passed"
FAILED: Final = "failed"
BROKEN: Final = "broken"
"""It could not be evaluated: its SQL failed, or a table that must be there is not."""
SKIPPED: Final = "skipped"


@dataclass(frozen=True)
class Outcome:
    """One expectation's result; `rows_tried` is None where there is nothing to count."""

    suite: str
    id: str
    severity: str
    description: str
    status: str
    rows_tried: int | None = None
    rows_failed: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether the outcome makes the validation fail: warnings do not, broken ones do."""
        return self.status == BROKEN or (self.status == FAILED and self.severity == "critical")


def write_outcomes(path: Path, outcomes: list[Outcome], docs: str | None) -> None:
    """Write the outcomes, and where the Data Docs begin, to a file."""
    content = {"docs": docs, "outcomes": [asdict(outcome) for outcome in outcomes]}
    path.write_text(json.dumps(content, default=str), encoding="utf-8")


def read_outcomes(path: Path) -> tuple[list[Outcome], str | None]:
    """Read what `write_outcomes` has written."""
    content = json.loads(path.read_text("utf-8"))
    return [Outcome(**outcome) for outcome in content["outcomes"]], content["docs"]
