"""The mutants of the seeds: each number in them a tenth larger and a tenth smaller.

A changed seed is what a query would be that used another number than the seed says: the
reference and the checks keep what they read before.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection, sql

from anchorline import settings
from devtools.compiled_models import TARGET
from devtools.mutants.generator import Mutant

_WHOLE: Final = frozenset({"smallint", "integer", "bigint"})
_NUMBERS: Final = _WHOLE | {"double precision", "real", "numeric"}


@dataclass(frozen=True)
class SeedMutant:
    """One number of a seed changed, and the statement that changes it."""

    mutant: Mutant
    statement: str


def seed_schema() -> str:
    """Return the schema of the seeds."""
    return settings.layer_schema("seeds", TARGET)


def seed_mutants(connection: Connection, seeds: Collection[str]) -> Iterator[SeedMutant]:
    """Make the mutants of some seeds in a database."""
    tables = connection.execute(
        """
        select table_name::text, array_agg(column_name::text order by ordinal_position),
            array_agg(data_type::text order by ordinal_position)
        from information_schema.columns
        where table_schema = %s and table_name = any(%s)
        group by table_name
        order by table_name
        """,
        (seed_schema(), list(seeds)),
    ).fetchall()
    for table, columns, kinds in tables:
        rows = connection.execute(
            sql.SQL("select {} from {} order by 1, 2").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.Identifier(seed_schema(), table),
            )
        ).fetchall()
        for row in rows:
            for column, kind, value in zip(columns, kinds, row, strict=True):
                if kind in _NUMBERS and value is not None and math.isfinite(value):
                    yield from _of_value(connection, table, columns, row, column, kind, value)


def _of_value(
    connection: Connection,
    table: str,
    columns: list[str],
    row: tuple[Any, ...],
    column: str,
    kind: str,
    value: Any,
) -> Iterator[SeedMutant]:
    for number, changed in enumerate(changed_values(value, is_whole=kind in _WHOLE)):
        same_row = sql.SQL(" and ").join(
            sql.SQL("{} is not distinct from {}").format(sql.Identifier(name), sql.Literal(other))
            for name, other in zip(columns, row, strict=True)
        )
        statement = sql.SQL("update {} set {} = {} where {}").format(
            sql.Identifier(seed_schema(), table),
            sql.Identifier(column),
            sql.Literal(changed),
            same_row,
        )
        key = " ".join(
            str(other)
            for name, other in zip(columns, row, strict=True)
            if isinstance(other, str) and name not in ("source", "meaning", "unit")
        ) or str(row[0])
        yield SeedMutant(
            Mutant(
                model=table,
                kind="seed",
                scope=key,
                before=f"{column} {value:g}",
                after=f"{changed:g}",
                place=0,
                change=number,
            ),
            statement.as_string(connection),
        )


def changed_values(value: Any, *, is_whole: bool) -> tuple[Any, Any]:
    """Return a number a tenth larger and smaller; whole ones by 1 at least, 0 by 0.1."""
    if is_whole:
        step = max(1, round(abs(value) / 10))
        return value + step, value - step
    if value == 0:
        tenth = type(value)("0.1") if isinstance(value, Decimal) else 0.1
        return tenth, -tenth
    factors = (Decimal("1.1"), Decimal("0.9")) if isinstance(value, Decimal) else (1.1, 0.9)
    return value * factors[0], value * factors[1]
