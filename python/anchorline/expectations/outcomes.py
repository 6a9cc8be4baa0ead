"""What became of each expectation: passed to and fro between the two processes as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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


def as_json(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Return the outcomes in the types of JSON, but for the values in their examples."""
    return [asdict(outcome) for outcome in outcomes]


def from_json(content: list[dict[str, Any]]) -> list[Outcome]:
    """Return what `as_json` has made of outcomes."""
    return [Outcome(**outcome) for outcome in content]
