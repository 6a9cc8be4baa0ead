"""One farm in several databases: its records copied, and what is published compared.

Where TimescaleDB keeps a part of the tables, their rows must be those of plain PostgreSQL, to the
last bit. `Farm` is a database with the farm's records and the dbt that builds it there;
`copy_records` brings the records of one into another, `differences` compares what both publish.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from anchorline.bench.scratch import environment
from anchorline.raw import schema as raw
from anchorline.refresh.dbt_process import DbtProcess
from devtools.edits import RAW_SCHEMA, loosen
from devtools.equality import ABOUT_REFRESHES, LAYERS, LEFT_OUT, DbtFailedError

Connection = psycopg.Connection[Any]

TARGET: Final = "prod"
SCHEMA: Final = "anchorline"
OPS: Final = f"{SCHEMA}_ops"
ENTERED: Final = ("manual_anchors", "anchor_exclusions")
"""What people enter: not derived from the raw tables."""


class SharedDbt:
    """The project's dbt, parsed once for databases that differ by their name alone."""

    def __init__(self) -> None:
        self._process: DbtProcess | None = None

    def close(self) -> None:
        """Remove what dbt has left."""
        if self._process is not None:
            self._process.close()

    def process(self, variables: Mapping[str, Any]) -> DbtProcess:
        """Return it for the database that the environment names now."""
        if self._process is None:
            self._process = DbtProcess(TARGET)
        process = self._process
        process.variables = dict(variables)
        database = os.environ["PGDATABASE"]
        for node in (*process.manifest.nodes.values(), *process.manifest.sources.values()):
            if node.database != database:
                if node.relation_name:
                    node.relation_name = node.relation_name.replace(
                        f'"{node.database}".', f'"{database}".', 1
                    )
                node.database = database
        return process


@dataclass
class Farm:
    """A farm in a database, open for its tests, and the dbt that builds it.

    `environment` holds the variables by which dbt and the package find the database; they are
    set while one of the methods runs, so that several farms go side by side. `variables` are
    dbt's, and may change between the runs.
    """

    connection: Connection
    environment: Mapping[str, str]
    variables: dict[str, Any]
    shared_dbt: SharedDbt

    def dbt(self, command: str, *arguments: str, **variables: Any) -> None:
        """Run dbt without its tests; raise DbtFailedError where something fails."""
        with self.in_environment():
            run = self.shared_dbt.process(self.variables).run(
                command, *arguments, variables=variables
            )
        if not run.succeeded:
            raise DbtFailedError(f"dbt {command} {' '.join(arguments)}: {' | '.join(run.errors)}")

    def in_environment(self) -> AbstractContextManager[None]:
        """Set the variables that name the database, and put the others back."""
        return environment(self.environment)


# -- the same records --------------------------------------------------------------------------


def copy_records(original: Farm, copy: Farm) -> None:
    """Give a farm all records of another one, and what people entered there; no other.

    The copy has the raw tables as plain ones. Its ops tables are made by dbt, as ever.
    """
    connection = copy.connection
    if not raw.existing_tables(connection, RAW_SCHEMA):
        with connection.transaction():
            raw.create_raw_tables(connection, RAW_SCHEMA)
            loosen(connection)
        copy.dbt("seed")
    with connection.transaction():
        for schema, table in (
            *((RAW_SCHEMA, table) for table in raw.RAW_TABLES),
            *((OPS, table) for table in ENTERED),
        ):
            _copy_rows(original.connection, connection, schema, table)


def _copy_rows(original: Connection, copy: Connection, schema: str, table: str) -> None:
    name = sql.Identifier(schema, table)
    listed = sql.SQL(", ").join(map(sql.Identifier, _columns(copy, schema, table)))
    copy.execute(sql.SQL("truncate {}").format(name))
    # a hypertable's own name holds no rows for a plain `copy table`
    read = sql.SQL("copy (select {} from {}) to stdout (format binary)").format(listed, name)
    write = sql.SQL("copy {} ({}) from stdin (format binary)").format(name, listed)
    with original.cursor().copy(read) as rows, copy.cursor().copy(write) as written:
        for block in rows:
            written.write(block)
    copy.execute(sql.SQL("analyze {}").format(name))


# -- the same rows -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A table that two farms publish differently, with examples of the rows of one alone."""

    table: str
    only_first: int
    only_second: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        """Say it, with examples."""
        head = f"{self.table}: {self.only_first} rows only here, {self.only_second} only there"
        return "\n      ".join([head, *self.examples])


def differences(first: Farm, second: Farm, layers: Sequence[str] = LAYERS) -> list[Difference]:
    """Compare all tables of the layers, row for row and to the last bit.

    But for when a row was computed, and for what tells of refreshes themselves. Rows are compared
    as text, which shows every bit of a float and the scale of a numeric.
    """
    found = []
    for layer in layers:
        schema = f"{SCHEMA}_{layer}"
        names = _tables(first.connection, schema)
        other_names = _tables(second.connection, schema)
        for table in sorted(names ^ other_names):
            is_first = table in names
            found.append(Difference(f"{layer}.{table}", int(is_first), int(not is_first), ()))
        for table in sorted(names & other_names):
            rows = _rows(first.connection, schema, table)
            rows.subtract(_rows(second.connection, schema, table))
            only_first = [row for row, count in rows.items() if count > 0]
            only_second = [row for row, count in rows.items() if count < 0]
            if only_first or only_second:
                examples = (
                    *(f"here:  {row[:400]}" for row in sorted(only_first)[:2]),
                    *(f"there: {row[:400]}" for row in sorted(only_second)[:2]),
                )
                found.append(
                    Difference(f"{layer}.{table}", len(only_first), len(only_second), examples)
                )
    return found


def compared_tables(farm: Farm) -> dict[str, int]:
    """Return the tables that are compared, with their numbers of rows."""
    return {
        f"{layer}.{table}": _rows(farm.connection, f"{SCHEMA}_{layer}", table).total()
        for layer in LAYERS
        for table in sorted(_tables(farm.connection, f"{SCHEMA}_{layer}"))
    }


def _rows(connection: Connection, schema: str, table: str) -> Counter[str]:
    columns = [name for name in _columns(connection, schema, table) if name not in LEFT_OUT]
    query = sql.SQL("copy (select row({})::text from {}) to stdout").format(
        # by name: a table that was altered may have them in another order
        sql.SQL(", ").join(map(sql.Identifier, sorted(columns))),
        sql.Identifier(schema, table),
    )
    with connection.cursor().copy(query) as rows:
        return Counter(str(line) for (line,) in rows.rows())


def _tables(connection: Connection, schema: str) -> set[str]:
    rows = connection.execute(
        """
        select table_name::text from information_schema.tables
        where table_schema = %s and table_type = 'BASE TABLE'
        """,
        (schema,),
    )
    return {name for (name,) in rows} - ABOUT_REFRESHES


def _columns(connection: Connection, schema: str, table: str) -> list[str]:
    rows = connection.execute(
        """
        select column_name::text from information_schema.columns
        where table_schema = %s and table_name = %s order by ordinal_position
        """,
        (schema, table),
    )
    return [name for (name,) in rows]


# -- chunks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chunk:
    """A chunk of the daily states: its days (the last one excluded), and its plain rows' bytes.

    Compressed rows lie elsewhere, so that a chunk of compressed rows alone has 0 bytes.
    """

    name: str
    first_day: date
    end_day: date
    is_compressed: bool
    plain_bytes: int


def chunks(connection: Connection) -> list[Chunk]:
    """Return the chunks of the daily states, oldest first."""
    rows = connection.execute(
        """
        select
            format('%I.%I', chunk_schema, chunk_name),
            (range_start at time zone 'UTC')::date,
            (range_end at time zone 'UTC')::date,
            is_compressed,
            pg_relation_size(format('%I.%I', chunk_schema, chunk_name)::regclass)
        from timescaledb_information.chunks
        where
            hypertable_schema = 'anchorline_marts'
            and hypertable_name = 'daily_assignment_states'
        order by range_start
        """
    ).fetchall()
    return [Chunk(*row) for row in rows]


def compress(connection: Connection) -> None:
    """Let the policy of the daily states compress what is old enough, now."""
    rows = connection.execute(
        """
        select job_id from timescaledb_information.jobs
        where
            proc_name = 'policy_compression'
            and hypertable_schema = 'anchorline_marts'
            and hypertable_name = 'daily_assignment_states'
        """
    ).fetchall()
    (job,) = rows
    connection.execute("call run_job(%s)", job)
    # rows that were compressed again leave their old places empty until somebody cleans up
    for chunk in chunks(connection):
        if chunk.plain_bytes:
            connection.execute(sql.SQL("vacuum {}").format(sql.SQL(chunk.name)))


__all__ = [
    "Chunk",
    "Difference",
    "Farm",
    "SharedDbt",
    "chunks",
    "compared_tables",
    "compress",
    "copy_records",
    "differences",
]
