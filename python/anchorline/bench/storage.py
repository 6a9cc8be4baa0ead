"""What TimescaleDB costs and saves: the same farm on one server, without the extension and with."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from anchorline.bench.building import run_build
from anchorline.bench.scratch import (
    FarmSize,
    environment,
    load,
    pg_variables,
    scratch_database,
)
from anchorline.refresh.session import RefreshSession

Connection = psycopg.Connection[Any]

REPEATS: Final = 15


@dataclass(frozen=True)
class StorageTime:
    """What one way to store the daily states took; times in s, sizes in bytes.

    `size` is the table with its indexes; with TimescaleDB `compressed_size` is what the policy
    has made of it. `day_seconds` is a refresh by one new day of all that hold fish, after it, and
    `series_seconds` the median of reading the daily series of the batch with most states.
    """

    name: str
    rows: int
    build_seconds: float
    day_seconds: float
    size: int
    compressed_size: int | None
    series_rows: int
    series_seconds: float


def measure_storage(
    server: Connection,
    connection_parameters: Mapping[str, Any],
    *,
    size: FarmSize,
    as_of: date,
    seed: int,
    tell: Callable[[str], None],
) -> list[StorageTime]:
    """Build and refresh one farm on plain PostgreSQL, then with TimescaleDB, on one server.

    ``server`` is an autocommit connection whose role may create databases and the extension.
    Both databases are dropped at the end.
    """
    measured = []
    for name, extends in (("PostgreSQL", False), ("TimescaleDB", True)):
        with scratch_database(server, connection_parameters, keep=False, tell=tell) as parameters:
            if extends:
                with psycopg.connect(**parameters, autocommit=True) as connection:
                    connection.execute("create extension timescaledb")
            tell(f"{name}: loading a farm of {size.batches} batches")
            load(parameters, size, as_of, seed)
            measured.append(_measure(name, parameters, as_of, tell))
    return measured


def _measure(
    name: str, parameters: Mapping[str, Any], as_of: date, tell: Callable[[str], None]
) -> StorageTime:
    tell(f"{name}: building the models")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="anchorline-bench-") as folder:
        run_build(parameters, as_of, Path(folder), tests=False)
    build_seconds = time.monotonic() - began
    with psycopg.connect(**parameters, autocommit=True) as connection:
        tell(f"{name}: measuring sizes")
        rows = _number(connection, "select count(*) from anchorline_marts.daily_assignment_states")
        size, compressed_size = _sizes(connection)
        tell(f"{name}: refreshing by one day")
        day_seconds = _one_day(parameters, as_of + timedelta(days=1))
        series_rows, series_seconds = _series(connection)
    return StorageTime(
        name, rows, build_seconds, day_seconds, size, compressed_size, series_rows, series_seconds
    )


def _sizes(connection: Connection) -> tuple[int, int | None]:
    """Return the table's size as it was written, and compressed where there is a policy."""
    policy = connection.execute(
        """
        select jobs.job_id
        from pg_catalog.pg_extension as extensions
        cross join timescaledb_information.jobs as jobs
        where jobs.hypertable_name = 'daily_assignment_states'
            and jobs.proc_name = 'policy_compression'
        """
        if _number(connection, "select count(*) from pg_extension where extname = 'timescaledb'")
        else "select null where false"
    ).fetchone()
    if policy is None:
        return _number(
            connection, "select pg_total_relation_size('anchorline_marts.daily_assignment_states')"
        ), None
    # its first run may have begun already: it waits for the end of that
    connection.execute("call run_job(%s)", (policy[0],))
    before, after = _row(
        connection,
        """
        select sum(before_compression_total_bytes), sum(after_compression_total_bytes)
        from hypertable_compression_stats('anchorline_marts.daily_assignment_states')
        """,
    )
    return int(before), int(after)


def _one_day(parameters: Mapping[str, Any], day: date) -> float:
    with environment(pg_variables(parameters)):
        session = RefreshSession("prod", variables={"as_of_date": day.isoformat()})
        try:
            session.prepare()
            began = time.monotonic()
            session.refresh(first_day=day, validate=False)
            return time.monotonic() - began
        finally:
            session.close()


def _series(connection: Connection) -> tuple[int, float]:
    """Read the daily series of the batch with most states, as a dashboard does."""
    batch_id = _number(
        connection,
        """
        select batch_id from anchorline_marts.daily_assignment_states
        group by batch_id
        order by count(*) desc, batch_id
        limit 1
        """,
    )
    seconds = []
    days = 0
    for _ in range(REPEATS):
        began = time.monotonic()
        days = len(
            connection.execute(
                """
                select
                    state_date,
                    sum(population) as population,
                    sum(biomass_kg) as biomass_kg,
                    sum(avg_weight_g * population) / nullif(sum(population), 0) as avg_weight_g
                from anchorline_marts.daily_assignment_states
                where batch_id = %s
                group by state_date
                order by state_date
                """,
                (batch_id,),
            ).fetchall()
        )
        seconds.append(time.monotonic() - began)
    return days, statistics.median(seconds)


def _number(connection: Connection, query: LiteralString) -> int:
    return int(_row(connection, query)[0])


def _row(connection: Connection, query: LiteralString) -> tuple[Any, ...]:
    return tuple(connection.execute(query).fetchall()[0])
