"""Ids, rows and cases of the farm while it is being made."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from anchorline.demo.cases import CASES

MOST_EXAMPLES: Final = 40
"""Records that are registered for one case; a large farm has more of the ordinary ones."""


@dataclass
class Ids:
    """The next free id of each table; a farm's ids start at 1 and have no holes."""

    _next: dict[str, int] = field(default_factory=lambda: defaultdict(lambda: 1))

    def take(self, table: str, count: int = 1) -> int:
        """Return the first of `count` new ids of the table."""
        first = self._next[table]
        self._next[table] = first + count
        return first


@dataclass
class Records:
    """Rows of the small tables and registered cases that are not yet written."""

    ids: Ids = field(default_factory=Ids)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    cases: list[dict[str, Any]] = field(default_factory=list)
    movements: list[dict[str, Any]] = field(default_factory=list)
    _examples: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, table: str, *, key: str = "id", **values: Any) -> int:
        """Add a row and return its id, a new one where `values` has none."""
        record_id = values.get(key)
        if record_id is None:
            record_id = self.ids.take(table)
        self.rows[table].append({key: record_id, **values})
        return int(record_id)

    def case(self, name: str, table: str, record_id: int, detail: str = "") -> None:
        """Register a record as an example of a case of the growth model."""
        self._examples[name] += 1
        if self._examples[name] > MOST_EXAMPLES:
            return
        description = CASES[name] if not detail else f"{CASES[name]}: {detail}"
        self.cases.append(
            {
                "case_id": self.ids.take("demo_truth.cases"),
                "case_name": name,
                "table_name": table,
                "record_id": record_id,
                "description": description,
            }
        )
