"""That a build and its readers do no more work than they did: counts and plans, no seconds.

The counts are the same on every machine. Whoever makes a limit larger says what for; whoever needs
less makes it smaller, so that it stays worth something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from conftest import AS_OF, BuiltDemo, SmallDemo
from psycopg import sql

from anchorline.bench.yardsticks import time_floor, time_loop
from anchorline.raw.schema import RAW_TABLES
from devtools.compiled_models import Dbt

READINGS: Final = "environmental_environmentalreading"

MOST_PASSES: Final = {
    READINGS: 2,
    "inventory_feedingevent": 2,
    "batch_mortalityevent": 4,
    "int_growth_inputs": 14,
    "int_growth_states": 15,
    "daily_assignment_states": 4,
}
"""How often a build reads all rows of a big table; single rows found by index fall below."""

MOST_ROWS_READ_BY_ROW_IN: Final = 13.0
MOST_STATEMENTS: Final = 1_610

HOT_QUERIES: Final = {
    "series of a batch": (
        "daily_assignment_states",
        "select state_date, sum(population) from anchorline_marts.daily_assignment_states "
        "where batch_id = 3 group by state_date order by state_date",
    ),
    "a year of an assignment, by the operational application": (
        "daily_assignment_states",
        "select * from anchorline_marts.actual_daily_assignment_states "
        "where assignment_id = 12 and date between '2025-01-01' and '2025-12-31'",
    ),
    "weeks of a batch": (
        "weekly_batch_states",
        "select * from anchorline_marts.weekly_batch_states where batch_id = 3",
    ),
    "days of a batch": (
        "daily_batch_states",
        "select * from anchorline_marts.daily_batch_states where batch_id = 3 order by state_date",
    ),
    "weighings of an assignment": (
        "weight_anchors",
        "select * from anchorline_marts.weight_anchors where assignment_id = 12",
    ),
    "smoothed series of an assignment": (
        "daily_assignment_smoothed",
        "select * from anchorline_marts.daily_assignment_smoothed where assignment_id = 12",
    ),
}

Plan = Mapping[str, Any]


def test_a_build_reads_big_tables_no_more_often_than_it_did(small_demo: SmallDemo) -> None:
    read = small_demo.work.rows_read
    passes = {name: round(read[name] / small_demo.row_counts[name], 1) for name in MOST_PASSES}
    assert {name: count for name, count in passes.items() if count > MOST_PASSES[name]} == {}


def test_a_build_reads_and_asks_no_more_in_all(small_demo: SmallDemo) -> None:
    rows_in = sum(small_demo.row_counts[name] for name in RAW_TABLES)
    assert sum(small_demo.work.rows_read.values()) / rows_in <= MOST_ROWS_READ_BY_ROW_IN
    assert 0 < small_demo.work.statement_count <= MOST_STATEMENTS


def test_readings_are_aggregated_in_two_scans_and_no_loop(
    built_demo: BuiltDemo, dbt_on: Callable[[str], Dbt], tmp_path: Path
) -> None:
    query = dbt_on(built_demo.url).query(
        "int_container_day_readings",
        tmp_path,
        "--full-refresh",
        variables={"as_of_date": AS_OF.isoformat()},
    )
    with psycopg.connect(built_demo.url) as connection:
        plan = _plan(connection, query)
    scans = [node for node in _nodes(plan) if node.get("Relation Name") == READINGS]
    assert len(scans) == 2, "one for the means, one for the readings out of range"
    looped = [
        inner
        for node in _nodes(plan)
        if node["Node Type"] == "Nested Loop"
        for inner in _nodes(node["Plans"][1])
        if inner.get("Relation Name") == READINGS
    ]
    assert looped == [], "a nested loop reads the readings once for each of its rows"


def test_a_loop_over_the_days_comes_to_the_same_states(small_copy: BuiltDemo) -> None:
    """The yardstick of the benchmark computes all of the model that its batch needs."""
    with psycopg.connect(small_copy.url, autocommit=True) as connection:
        loop = time_loop(connection)
        floor = time_floor(connection)
        left = connection.execute("select to_regnamespace('bench_floor')").fetchone()
    assert loop.states > 100
    assert loop.statements > 5 * loop.states
    assert loop.largest_difference < 1e-9
    assert floor.copy_seconds > 0
    assert left == (None,)


@pytest.mark.parametrize("name", HOT_QUERIES)
def test_hot_queries_find_their_rows_by_an_index(name: str, built_demo: BuiltDemo) -> None:
    """Where there is an index that serves, the planner takes it once it is told not to scan."""
    table, query = HOT_QUERIES[name]
    with psycopg.connect(built_demo.url) as connection:
        connection.execute("set local enable_seqscan = off")
        plan = _plan(connection, query)
        indexed = [node for node in _nodes(plan) if _table_of(connection, node) == table]
    assert indexed
    for node in indexed:
        assert node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan"), name
        assert "Index Cond" in node, name


def _plan(connection: psycopg.Connection[Any], query: str) -> Plan:
    row = connection.execute(f"explain (format json) {query}".encode()).fetchone()
    assert row is not None
    plan: Plan = row[0][0]["Plan"]
    return plan


def _nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


def _table_of(connection: psycopg.Connection[Any], node: Plan) -> str | None:
    """Return the table that a node reads, a scan of its index included; None for other nodes."""
    if node["Node Type"] == "Bitmap Heap Scan":
        return None  # reads what the scan of the index below it has found
    if "Relation Name" in node:
        return str(node["Relation Name"])
    if "Index Name" not in node:
        return None
    row = connection.execute(
        sql.SQL("select tablename from pg_indexes where indexname = %s"), (node["Index Name"],)
    ).fetchone()
    return None if row is None else str(row[0])
