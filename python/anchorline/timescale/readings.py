"""The readings as a hypertable: an operation on a table of the operational system.

The table keeps its name, columns, defaults, indexes, foreign keys and rights. Its primary key gets
the time as a second column, as TimescaleDB demands of every unique key; the name of the key stays,
and `id` stays first, so that what looks for one reading finds it by the index as before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from anchorline import hints
from anchorline.errors import AnchorlineError
from anchorline.roles import Step
from anchorline.timescale.extension import Extension, require_extension

Connection = psycopg.Connection[Any]

TABLE: Final = "environmental_environmentalreading"
TIME_COLUMN: Final = "reading_time"
TIME_TYPES: Final = ("timestamp with time zone", "timestamp without time zone", "date")

CHUNK_DAYS: Final = 7
"""Of TimescaleDB's own default, and of the operational system's migrations."""

LOCK_TIMEOUT_MS: Final = 300
"""How long writers may queue up behind an operation that waits for its locks."""
PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Readings:
    """The table of the readings, as it is; `key` is its primary key, name and columns.

    `row_count` is what the statistics say, null where nobody has counted.
    """

    schema: str
    owner: str
    is_owned: bool
    is_hypertable: bool
    row_count: int | None
    total_bytes: int
    time_type: str
    is_time_required: bool
    key: tuple[str, tuple[str, ...]] | None
    referenced: tuple[str, ...]
    """The tables that its foreign keys lead to, with their schemas, quoted."""

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name, with its schema."""
        return sql.Identifier(self.schema, TABLE)

    @property
    def wants_new_key(self) -> bool:
        """Whether the primary key lacks the time."""
        return self.key is not None and TIME_COLUMN not in self.key[1]


_EXAMINE: Final = """
    with own as (
        select tables.*, namespaces.nspname
        from pg_catalog.pg_class as tables
        inner join pg_catalog.pg_namespace as namespaces on tables.relnamespace = namespaces.oid
        where namespaces.nspname = %(schema)s and tables.relname = %(table)s
    ),

    time_column as (
        select columns.*
        from pg_catalog.pg_attribute as columns
        inner join own on columns.attrelid = own.oid
        where columns.attname = %(time)s and not columns.attisdropped
    ),

    primary_key as (
        select
            constraints.oid,
            constraints.conname::text as name,
            array_agg(columns.attname::text order by keys.position) as columns
        from pg_catalog.pg_constraint as constraints
        inner join own on constraints.conrelid = own.oid
        cross join unnest(constraints.conkey) with ordinality as keys (number, position)
        inner join pg_catalog.pg_attribute as columns
            on constraints.conrelid = columns.attrelid and keys.number = columns.attnum
        where constraints.contype = 'p'
        group by constraints.oid
    )

    select
        own.relkind::text as kind,
        pg_get_userbyid(own.relowner) as owner,
        pg_has_role(own.relowner, 'usage') as is_owned,
        exists (
            select from pg_catalog.pg_inherits where own.oid in (inhrelid, inhparent)
        ) as is_inherited,
        nullif(own.reltuples, -1)::bigint as row_count,
        pg_total_relation_size(own.oid) as total_bytes,
        (select atttypid::regtype::text from time_column) as time_type,
        (select attnotnull from time_column) as is_time_required,
        (select name from primary_key) as key_name,
        (select columns from primary_key) as key_columns,
        array(
            select distinct format('%%I.%%I', namespaces.nspname, targets.relname)
            from pg_catalog.pg_constraint as constraints
            inner join pg_catalog.pg_class as targets on constraints.confrelid = targets.oid
            inner join pg_catalog.pg_namespace as namespaces
                on targets.relnamespace = namespaces.oid
            where constraints.conrelid = own.oid and constraints.contype = 'f'
            order by 1
        ) as referenced,
        array(
            select format('%%I of %%I.%%I', constraints.conname, namespaces.nspname, tables.relname)
            from pg_catalog.pg_constraint as constraints
            inner join pg_catalog.pg_class as tables on constraints.conrelid = tables.oid
            inner join pg_catalog.pg_namespace as namespaces
                on tables.relnamespace = namespaces.oid
            where constraints.confrelid = own.oid and constraints.contype = 'f'
            order by 1
        ) as referring,
        array(
            select indexes.indexrelid::regclass::text
            from pg_catalog.pg_index as indexes
            where
                indexes.indrelid = own.oid
                and (indexes.indisunique or indexes.indisexclusion)
                and not indexes.indisprimary
                and not (select attnum from time_column) = any(
                    (indexes.indkey::smallint[])[0:indexes.indnkeyatts - 1]
                )
            order by 1
        ) as other_unique
    from own
"""


def examine(connection: Connection, raw_schema: str) -> Readings:
    """Look at the table; raise AnchorlineError where it cannot become a hypertable."""
    require_extension(connection)
    values = {"schema": raw_schema, "table": TABLE, "time": TIME_COLUMN}
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_EXAMINE, values).fetchone()
    where = f"the schema {raw_schema!r} of {hints.place(connection)}"
    if row is None:
        raise AnchorlineError(
            f"There is no table {TABLE} in {where}. Name the schema of the raw tables with "
            "--raw-schema."
        )
    if row["time_type"] is None:
        raise AnchorlineError(
            f"{TABLE} in {where} has no column {TIME_COLUMN}: this is not the table of readings "
            "that anchorline knows."
        )
    key = row["key_name"] and (row["key_name"], tuple(row["key_columns"]))
    readings = Readings(
        schema=raw_schema,
        owner=row["owner"],
        is_owned=row["is_owned"],
        is_hypertable=_is_hypertable(connection, raw_schema),
        row_count=row["row_count"],
        total_bytes=row["total_bytes"],
        time_type=row["time_type"],
        is_time_required=row["is_time_required"],
        key=key or None,
        referenced=tuple(row["referenced"]),
    )
    if not readings.is_hypertable:
        _require_convertible(connection, readings, row)
    return readings


def plan(connection: Connection, readings: Readings, *, chunk_days: int) -> list[Step]:
    """Return the statements that make it a hypertable; none where it is one."""
    if readings.is_hypertable:
        return []
    return list(_steps(connection, readings, require_extension(connection), chunk_days))


def convert(
    connection: Connection, raw_schema: str, *, chunk_days: int, wait_seconds: float
) -> bool:
    """Make the readings a hypertable, all or nothing; False where they are one already.

    The connection is in autocommit mode. The locks are taken all at once, and tried again for
    `wait_seconds` where one of the tables is in use. Then nobody reads or writes the readings until
    all rows are in chunks.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            with connection.transaction():
                readings = examine(connection, raw_schema)
                if readings.is_hypertable:
                    return False
                for step in plan(connection, readings, chunk_days=chunk_days):
                    connection.execute(step.statement)
                return True
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() > deadline:
                raise AnchorlineError(
                    f"{TABLE}, or a table that it refers to, is in use, and stayed so for "
                    f"{wait_seconds:.0f} s; nothing was changed. Try again at a quieter time, or "
                    "wait longer with --wait."
                ) from error
            time.sleep(PAUSE_SECONDS)
        except psycopg.errors.NotNullViolation as error:
            raise AnchorlineError(
                f"Some rows of {raw_schema}.{TABLE} have no {TIME_COLUMN}, which a hypertable "
                "needs; nothing was changed. Correct or delete them, and repeat the command."
            ) from error
        except psycopg.errors.DiskFull as error:
            raise AnchorlineError(
                f"The disk is full: while {TABLE} is copied, it needs its size once more. Nothing "
                "was changed; make room, and repeat the command."
            ) from error
        except psycopg.errors.OutOfMemory as error:
            raise AnchorlineError(
                "The server has no room for so many locks: each chunk takes one, and each of its "
                "indexes. Nothing was changed; take larger chunks (--chunk-days), or set "
                "max_locks_per_transaction of the server to 256 and restart it."
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise AnchorlineError(
                f"The role {_current_role(connection)} may not do this, as the cause says; nothing "
                f"was changed. Run it as the owner of {TABLE} and of the tables that its foreign "
                "keys lead to."
            ) from error
        except psycopg.errors.DependentObjectsStillExist as error:
            raise AnchorlineError(
                f"Something depends on the primary key of {TABLE}, as the cause says; nothing was "
                "changed. Drop it, repeat the command, and make it again."
            ) from error
        except psycopg.errors.DatabaseError as error:
            # TimescaleDB's own errors are of the class TS
            if not (error.sqlstate or "").startswith(("TS", "0A")):
                raise
            raise AnchorlineError(
                f"TimescaleDB does not make {TABLE} a hypertable, as the cause says; nothing was "
                "changed."
            ) from error


def _steps(
    connection: Connection, readings: Readings, extension: Extension, chunk_days: int
) -> Iterator[Step]:
    table = readings.identifier
    yield Step(
        sql.SQL("set local lock_timeout = {}").format(sql.Literal(f"{LOCK_TIMEOUT_MS}ms")),
        "all locks at once, or none",
    )
    yield Step(sql.SQL("lock table {} in access exclusive mode").format(table))
    if readings.referenced:
        yield Step(
            sql.SQL("lock table\n    {}\nin share row exclusive mode").format(
                sql.SQL(",\n    ").join(map(sql.SQL, readings.referenced))
            ),
            "each chunk gets the foreign keys, which their tables must hold still for",
        )
    if not readings.is_time_required:
        yield Step(
            sql.SQL("alter table {} alter column {} set not null").format(
                table, sql.Identifier(TIME_COLUMN)
            ),
            "fails where a reading has no time",
        )
    if readings.key is not None and readings.wants_new_key:
        name, columns = readings.key
        yield Step(
            sql.SQL("alter table {} drop constraint {}").format(table, sql.Identifier(name)),
            "a hypertable's unique keys hold its time; name and first column stay",
        )
        yield Step(
            sql.SQL("alter table {} add constraint {} primary key ({})").format(
                table,
                sql.Identifier(name),
                sql.SQL(", ").join(map(sql.Identifier, [*columns, TIME_COLUMN])),
            )
        )
    functions = sql.Identifier(extension.schema or "public")
    yield Step(
        sql.SQL(
            "select {functions}.create_hypertable(\n"
            "    {table}, {functions}.by_range({time}, interval {chunk}), migrate_data => true\n)"
        ).format(
            functions=functions,
            table=sql.Literal(table.as_string(connection)),
            time=sql.Literal(TIME_COLUMN),
            chunk=sql.Literal(f"{chunk_days} days"),
        ),
        "copies all rows into chunks",
    )
    yield Step(sql.SQL("analyze {}").format(table))


def _require_convertible(
    connection: Connection, readings: Readings, row: Mapping[str, Any]
) -> None:
    name = f"{readings.schema}.{TABLE}"
    if row["kind"] != "r" or row["is_inherited"]:
        raise AnchorlineError(
            f"{name} is not a table of its own: a partitioned or inherited table, a view or a "
            "foreign table cannot become a hypertable. Nothing was changed."
        )
    if not readings.is_owned:
        raise AnchorlineError(
            f"{name} belongs to {readings.owner}; the role {_current_role(connection)} may not "
            f"change it. Run the command as {readings.owner} (PGUSER)."
        )
    if readings.time_type not in TIME_TYPES:
        raise AnchorlineError(
            f"{name}.{TIME_COLUMN} is {readings.time_type}, expected {TIME_TYPES[0]}. Nothing was "
            "changed."
        )
    if row["referring"]:
        raise AnchorlineError(
            f"Foreign keys refer to the id of {name}: {hints.listed(row['referring'])}. A "
            "hypertable has no unique key on its id alone, which they need. Drop them first, if "
            "they are not needed; nothing was changed."
        )
    if row["other_unique"]:
        raise AnchorlineError(
            f"{name} has unique keys without {TIME_COLUMN}: {hints.listed(row['other_unique'])}. A "
            f"hypertable cannot have them. Drop them, or make them again with {TIME_COLUMN}; "
            "nothing was changed."
        )


def _is_hypertable(connection: Connection, schema: str) -> bool:
    found = connection.execute(
        "select from timescaledb_information.hypertables "
        "where hypertable_schema = %s and hypertable_name = %s",
        (schema, TABLE),
    ).fetchone()
    return found is not None


def _current_role(connection: Connection) -> str:
    row = connection.execute("select current_user::text").fetchone()
    return str(row[0]) if row else ""
