"""The suites as data: JSON files that a person reads, a diff shows and Great Expectations runs.

A file is a list of expectations, sorted by id, each in a block of its own. SQL is a list of
lines. Schemas are placeholders (`{raw}`, `{staging}`, `{intermediate}`, `{marts}`, `{seeds}`,
`{ops}`), and so are the dbt vars that a rule depends on (`{var:fcr_cap}`) and the last day of
the data (`{as_of}`): `names.py` fills them in. `{all:marts}` is a schema whose table is read
whole, also where the validation is limited to some batches.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from anchorline.errors import AnchorlineError

SUITES: Final = ("raw", "marts")
"""The suites, in the order in which data flow."""

QUERY_TYPE: Final = "expect_query_to_find_nothing"
"""The type of most expectations: a query for the rows that must not be there."""

SHAPE_TYPE: Final = "expect_table_columns_to_match_set"
"""The other type: the columns of a table. It reads no row."""

DAYS: Final = "days"
"""Scope: a row that fails depends on its day, the day before and its week, in its lineage."""
LINEAGE: Final = "lineage"
"""Scope: a row that fails depends on the whole life of its lineage."""
BATCH: Final = "batch"
"""Scope: rows that fail name their batch, and may depend on rows of no batch."""
FARM: Final = "farm"
"""Scope: rows that fail belong to no batch."""
SCOPES: Final = (DAYS, LINEAGE, BATCH, FARM)

LAYERS: Final = ("raw", "staging", "intermediate", "marts", "seeds", "ops")
"""The placeholders that stand for a schema."""

RELATION: Final = re.compile(r"\{(all:)?(" + "|".join(LAYERS) + r")\}\.(\w+)")
"""A table or view in the SQL of a suite."""


@dataclass(frozen=True, order=True)
class Relation:
    """A table or view of a layer, before its schema is known."""

    layer: str
    name: str

    def __str__(self) -> str:
        """Name it as the suites do."""
        return f"{self.layer}.{self.name}"


@dataclass(frozen=True)
class Expectation:
    """One thing that must hold.

    `id` never changes, so that results can be compared over time. `relation` is the table that
    it speaks of. `rows_tried` is a query for the number of rows that it looks at. `needs` are
    columns, as `layer.table.column`, without which it is skipped. `is_optional` says that its
    tables may be missing: then it is skipped, and otherwise it fails. `scope` says what it looks
    at where the validation is limited to some batches.
    """

    id: str
    type: str
    severity: str
    description: str
    relation: Relation
    query: str | None
    kwargs: dict[str, Any]
    rows_tried: str | None
    needs: tuple[tuple[Relation, str], ...]
    is_optional: bool
    scope: str

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Every table or view that the expectation reads."""
        text = f"{self.query or ''} {self.rows_tried or ''}"
        found = {Relation(layer, table) for _, layer, table in RELATION.findall(text)}
        return tuple(sorted(found | {self.relation}))


@dataclass(frozen=True)
class Suite:
    """The expectations of one boundary."""

    name: str
    description: str
    expectations: tuple[Expectation, ...]


def suite_text(name: str) -> str:
    """Return the suite's file as it is."""
    if name not in SUITES:
        raise AnchorlineError(f"There is no suite {name!r}. Use one of {', '.join(SUITES)} or all.")
    return resources.files(__package__).joinpath("suites", f"{name}.json").read_text("utf-8")


def read_suite(name: str) -> Suite:
    """Read a suite from its file."""
    content = json.loads(suite_text(name))
    return Suite(
        name=content["name"],
        description=content["description"],
        expectations=tuple(_read_expectation(block) for block in content["expectations"]),
    )


def suite_in_form(content: dict[str, Any]) -> str:
    """Return a suite's content in the one form of the files: sorted by id, one value a line."""
    blocks = sorted(content["expectations"], key=lambda block: str(block["id"]))
    return json.dumps({**content, "expectations": blocks}, indent=2, ensure_ascii=False) + "\n"


def _read_expectation(block: dict[str, Any]) -> Expectation:
    kwargs = dict(block.get("kwargs", {}))
    lines = kwargs.pop("unexpected_rows_query", None)
    meta = block["meta"]
    if block["type"] not in (QUERY_TYPE, SHAPE_TYPE) or meta["scope"] not in SCOPES:
        raise AnchorlineError(
            f"The expectation {block['id']} has the type {block['type']!r} and the scope "
            f"{meta['scope']!r}. Types are {QUERY_TYPE} and {SHAPE_TYPE}, scopes "
            f"{', '.join(SCOPES)}."
        )
    return Expectation(
        id=block["id"],
        type=block["type"],
        severity=block["severity"],
        description=block["description"],
        relation=_relation(meta["table"]),
        query=None if lines is None else "\n".join(lines),
        kwargs=kwargs,
        rows_tried="\n".join(meta["rows_tried"]) if "rows_tried" in meta else None,
        needs=tuple(_column(name) for name in meta.get("needs", [])),
        is_optional=bool(meta.get("is_optional", False)),
        scope=meta["scope"],
    )


def _relation(name: str) -> Relation:
    layer, _, table = name.partition(".")
    return Relation(layer, table)


def _column(name: str) -> tuple[Relation, str]:
    table, _, column = name.rpartition(".")
    return _relation(table), column
