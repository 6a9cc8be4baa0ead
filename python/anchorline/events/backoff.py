"""When a refresh that has failed is tried again: pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final


@dataclass(frozen=True)
class BackOff:
    """The pauses between attempts: the first one, each next one longer, up to the longest.

    Raises ValueError where the pauses would not be positive or would shrink.
    """

    first: timedelta = timedelta(seconds=30)
    factor: float = 3.0
    longest: timedelta = timedelta(minutes=30)
    attempts: int = 5
    """After so many failed attempts in a row the entry is set aside; at least 1."""

    def __post_init__(self) -> None:
        """Refuse pauses that make no sense."""
        if self.first <= timedelta(0) or self.longest < self.first:
            raise ValueError(
                f"The pauses are {self.first} to {self.longest}; expected 0 < first <= longest."
            )
        if self.factor < 1 or self.attempts < 1:
            raise ValueError(
                f"factor is {self.factor}, attempts is {self.attempts}; expected both at least 1."
            )

    def pause(self, attempt_count: int) -> timedelta:
        """Return how long to wait after `attempt_count` failed attempts (1, 2, ...).

        pause = min(first * factor^(attempt_count - 1), longest)
        """
        if attempt_count < 1:
            raise ValueError(f"attempt_count is {attempt_count}; expected at least 1.")
        # the power alone could be more than a float holds
        exponent = min(attempt_count - 1, 64)
        seconds = min(
            self.first.total_seconds() * self.factor**exponent, self.longest.total_seconds()
        )
        return timedelta(seconds=seconds)

    def is_spent(self, attempt_count: int) -> bool:
        """Return whether no further attempt is made after `attempt_count` failed ones."""
        return attempt_count >= self.attempts

    def next_attempt_at(self, attempt_count: int, failed_at: datetime) -> datetime | None:
        """Return when to try again; None where the entry is to be set aside."""
        if self.is_spent(attempt_count):
            return None
        return failed_at + self.pause(attempt_count)


DEFAULT: Final = BackOff()
"""Tries after 30 s, 90 s, 4.5 min and 13.5 min; then somebody must look."""
