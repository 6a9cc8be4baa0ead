"""The demo farm goes into a database: all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from anchorline.demo import ops
from anchorline.demo.farm import Farm, Progress
from anchorline.demo.truth_tables import (
    TRUTH_SCHEMA,
    FarmParameters,
    create_truth_tables,
    finish_truth_tables,
    loaded_farm,
)
from anchorline.demo.writing import Writer
from anchorline.errors import AnchorlineError
from anchorline.raw import schema as raw

Connection = psycopg.Connection[Any]

FARM_VERSION: Final = 1
"""Changes with the rules of the farm: the same parameters then make another one."""

_MOST_BATCHES: Final = 5_000


@dataclass(frozen=True)
class FarmReport:
    """What `load_farm` did; no rows where the same farm was there already."""

    parameters: FarmParameters
    is_new: bool
    row_counts: dict[str, int] = field(default_factory=dict)


def load_farm(
    conn: Connection,
    *,
    raw_schema: str = "public",
    batches: int = 8,
    as_of: date,
    seed: int = 1,
    readings: bool = True,
    readings_per_day: int | None = None,
    progress: Progress | None = None,
    replace: bool = False,
    ops_schema: str = ops.OPS_SCHEMA,
) -> FarmReport:
    """Create the raw tables and fill them with a demo farm; its truth goes to `demo_truth`.

    `batches` are stocked with eggs over the three years before `as_of`, the last day with
    data. From one batch on, a small one with bad rows joins them, from two on a MIXED one;
    a farm of fewer than eight may lack special cases. `batches=0` makes empty tables.
    The same parameters make the same farm to the byte; the first batches of a larger farm
    are not those of a smaller one. `readings_per_day` is what each sensor measures, once an
    hour at most; without it sensors measure four or six times, with 1 the mean of the day.

    Everything happens in one transaction. A schema that holds other rows is refused, the
    same farm is left as it is, another demo farm is replaced where `replace` says so.
    """
    parameters = FarmParameters(
        raw_schema, batches, as_of, seed, readings, FARM_VERSION, readings_per_day
    )
    _check(parameters)
    with conn.transaction(), _utc(conn):
        if not _is_needed(conn, parameters, replace=replace):
            return FarmReport(parameters, is_new=False)
        with _bulk_load(conn, raw_schema):
            create_truth_tables(conn)
            ops.prepare(conn, ops_schema)
            writer = Writer(conn, raw_schema, TRUTH_SCHEMA, as_of)
            if batches:
                _write(Farm(conn, parameters, writer, ops_schema, progress or _silent), raw_schema)
        finish_truth_tables(conn, parameters)
    if progress is not None:
        progress(batches, batches, "done")
    return FarmReport(parameters, is_new=True, row_counts=writer.row_counts)


def _silent(done: int, total: int, label: str) -> None:
    """Report nothing."""


def _write(farm: Farm, raw_schema: str) -> None:
    try:
        farm.write()
    except psycopg.errors.UndefinedColumn as error:
        raise AnchorlineError(
            f"The raw tables in schema {raw_schema!r} are of an older instance and lack a column "
            "that the demo farm fills. Choose an empty schema with --raw-schema."
        ) from error


def _check(parameters: FarmParameters) -> None:
    if not 0 <= parameters.batches <= _MOST_BATCHES:
        raise AnchorlineError(
            f"A demo farm of {parameters.batches} batches was asked for. "
            f"Choose a number from 0 (empty tables) to {_MOST_BATCHES}."
        )
    if parameters.seed < 0:
        raise AnchorlineError(f"The seed is {parameters.seed}. Choose 0 or a positive number.")
    if parameters.readings_per_day is not None and not 1 <= parameters.readings_per_day <= 24:
        raise AnchorlineError(
            f"{parameters.readings_per_day} readings a day were asked for. Choose from 1 to 24."
        )
    if not date(1980, 1, 1) <= parameters.as_of <= date(2200, 1, 1):
        raise AnchorlineError(
            f"The farm was to end on {parameters.as_of}. Choose a day from 1980 to 2199."
        )


def _filled_tables(conn: Connection, raw_schema: str) -> list[str]:
    """Return the raw tables that hold rows."""
    filled = []
    for table in raw.existing_tables(conn, raw_schema):
        row = conn.execute(
            sql.SQL("select exists (select from {})").format(sql.Identifier(raw_schema, table))
        ).fetchone()
        if row == (True,):
            filled.append(table)
    return filled


def _is_needed(conn: Connection, parameters: FarmParameters, *, replace: bool) -> bool:
    """Tell whether the farm is to be made; refuse where it would destroy what is there."""
    raw_schema = parameters.raw_schema
    filled = _filled_tables(conn, raw_schema)
    loaded = loaded_farm(conn)
    if loaded is not None and loaded.batches == 0:
        loaded = None
    if loaded is not None and loaded.raw_schema == raw_schema and filled:
        if loaded == parameters and not replace:
            return False
        if not replace:
            raise AnchorlineError(
                f"The database holds another demo farm: {loaded.describe()}. "
                f"Asked for was one of {parameters.describe()}. "
                "Let it take the place of the old one with --replace."
            )
        raw.truncate(conn, raw_schema)
        return True
    if filled:
        named = ", ".join(filled[:5]) + (", ..." if len(filled) > 5 else "")
        raise AnchorlineError(
            f"Schema {raw_schema!r} holds rows that are not those of a demo farm, in {named}. "
            "They are left alone: choose an empty schema with --raw-schema, or another database."
        )
    if loaded is not None and not replace and _filled_tables(conn, loaded.raw_schema):
        raise AnchorlineError(
            f"The database holds a demo farm already: {loaded.describe()}. There is one truth per "
            "database: use another one, or drop the old truth with --replace."
        )
    return True


@contextmanager
def _utc(conn: Connection) -> Iterator[None]:
    """Let instants without time zone be UTC until the transaction ends."""
    conn.execute("set local timezone to 'UTC'")
    yield


@contextmanager
def _bulk_load(conn: Connection, raw_schema: str) -> Iterator[None]:
    """Make the raw tables ready for COPY, and put keys and indexes on them afterwards.

    The farm has ids that point nowhere, as old instances have: foreign keys come after it.
    """
    raw.drop_foreign_keys(conn, raw_schema, raw.existing_tables(conn, raw_schema))
    created = raw.create_raw_tables(conn, raw_schema, with_indexes=False)
    yield
    raw.create_indexes(conn, raw_schema, created)
    raw.reset_identities(conn, raw_schema)
    raw.add_foreign_keys(conn, raw_schema)
    raw.analyze(conn, raw_schema)
