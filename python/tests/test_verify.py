"""`verify` in groups of lineages: what is found is what the whole farm at once would show."""

# ruff: noqa: S608
# The SQL that spoils a copy is put together from constants of this file.

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from conftest import AS_OF, BuiltDemo
from small_farm import SmallFarm, day, read_seeds

from anchorline.reference import Farm, Parameters, Seeds
from anchorline.reference.activity import check_assignments
from anchorline.reference.inputs import COLUMNS, day_of
from anchorline.reference.tables import UNKNOWN, IntArray
from anchorline.verify import Comparison, run_parameters, verify
from anchorline.verify.divided import DividedFarm, read_groups
from anchorline.verify.group import Computed, compute
from anchorline.verify.groups import READ_WHOLE, Groups, find_groups
from anchorline.verify.reading import read, read_built_farm, read_views
from anchorline.verify.truth import error_table, read_truth, truth_errors
from anchorline.verify.unsettled import reasons_to_verify_again, server_time

WHOLE, TINY = 10**9, 1
"""States of a group: all lineages at once, and each by itself."""

STATES = "anchorline_marts.daily_assignment_states"
ANCHORS = "anchorline_marts.weight_anchors"
COMPARED = {
    "daily_assignment_smoothed": "anchorline_marts",
    "daily_batch_smoothed": "anchorline_marts",
    "weight_anchors": "anchorline_marts",
    "int_weight_filter": "anchorline_intermediate",
    "int_plan_days": "anchorline_intermediate",
    "int_forecast_days": "anchorline_intermediate",
    "forecast_daily": "anchorline_marts",
    "container_forecast": "anchorline_marts",
}


@pytest.fixture(scope="module")
def copy_url(built_demo: BuiltDemo, copy_database: Callable[[str], str]) -> str:
    """A copy of the built demo."""
    return copy_database(built_demo.url)


@pytest.fixture
def connection(copy_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the copy whose changes are taken back."""
    with psycopg.connect(copy_url) as connection:
        yield connection
        connection.rollback()


def compared(
    connection: psycopg.Connection[Any], size: int, batches: tuple[str, ...] = ()
) -> Comparison:
    parameters = run_parameters(connection, "prod", {"as_of_date": AS_OF})
    return verify(
        connection,
        "prod",
        parameters=parameters,
        batch_numbers=batches,
        limit=25,
        states_of_a_group=size,
    )


def plain(comparison: Comparison) -> dict[str, Any]:
    """Return all that a comparison says, in values that can be compared."""

    def table(outcome: Any) -> dict[str, Any]:
        return {
            "columns": [repr(column) for column in outcome.columns],
            "only in database": outcome.only_in_database,
            "only in reference": outcome.only_in_reference,
            "first rows": outcome.first_rows.astype(str).to_dict("records"),
        }

    return {
        "states": comparison.state_count,
        "table": table(comparison),
        "rejected": [
            frame.sort_values(["table_name", "record_id"]).to_dict("records")
            for frame in (
                comparison.rejected_only_in_database,
                comparison.rejected_only_in_reference,
            )
        ],
        "tables": {t.name: (t.row_count, table(t)) for t in comparison.tables},
        "missing": [*comparison.missing],
    }


def one(table: str, condition: str = "true") -> str:
    return f"ctid = (select ctid from {table} where {condition} order by ctid limit 1)"


SPOILT = (
    # the same row in several columns, and rows of several lineages
    f"update {STATES} set avg_weight_g = avg_weight_g + 1, population = population + 1 "
    f"where {one(STATES)}",
    f"update {STATES} set gain_kg = gain_kg + 1 where state_date = '2025-06-01'",
    f"delete from {STATES} where {one(STATES, 'anchor_type is not null')}",
    # of an assignment that is not there
    f"create temporary table stray as select * from {STATES} where {one(STATES)}",
    "update stray set assignment_id = 99999999",
    f"insert into {STATES} select * from stray",
    # an anchor that names an assignment of another batch, and one of no record
    f"update {ANCHORS} set assignment_id = (select max(assignment_id) from {STATES} "
    f"where assignment_id < 99999999) where {one(ANCHORS, 'is_used')}",
    f"update {ANCHORS} set record_id = 99999999 where {one(ANCHORS, 'not is_used')}",
    "update anchorline_marts.daily_batch_smoothed set batch_id = 99999999 where "
    + one("anchorline_marts.daily_batch_smoothed"),
    "delete from anchorline_intermediate.int_plan_days where "
    + one("anchorline_intermediate.int_plan_days"),
    "update anchorline_intermediate.int_growth_states set weight_g = weight_g + 1 where "
    + one("anchorline_intermediate.int_growth_states", "not is_in_transit"),
    "update anchorline_marts.container_forecast set population = population + 1 where "
    + one("anchorline_marts.container_forecast"),
    "delete from anchorline_marts.rejected_records where "
    "table_name in ('batch_growthsample', 'scenario_tgcmodel')",
    "delete from anchorline_marts.rejected_records where "
    "table_name = 'environmental_environmentalreading'",
    "insert into anchorline_marts.rejected_records (table_name, record_id, reason) "
    "values ('batch_batch', 99999999, 'spoilt')",
)


def test_nothing_differs_and_each_row_is_compared_once(
    connection: psycopg.Connection[Any],
) -> None:
    found = compared(connection, TINY)
    assert found.agrees
    assert {table.name for table in found.tables} == set(COMPARED)
    rows = {f"{COMPARED[table.name]}.{table.name}": table.row_count for table in found.tables}
    for relation, count in (rows | {STATES: found.state_count}).items():
        assert connection.execute(f"select count(*) from {relation}").fetchone() == (count,)


def test_planted_differences_are_found_whatever_the_groups(
    connection: psycopg.Connection[Any],
) -> None:
    for statement in SPOILT:
        connection.execute(statement)
    whole, tiny = compared(connection, WHOLE), compared(connection, TINY)
    assert plain(tiny) == plain(whole)

    assert (tiny.only_in_database, tiny.only_in_reference) == (1, 1)
    differing = {column.name: column.differing for column in tiny.columns if column.differing}
    assert differing.keys() == {"weight_g (unrounded)", "avg_weight_g", "population", "gain_kg"}
    assert differing["gain_kg"] > 1
    tables = {table.name: table for table in tiny.tables}
    anchors = tables["weight_anchors"]
    assert {c.name: c.differing for c in anchors.columns if c.differing} == {"assignment_id": 1}
    assert (anchors.only_in_database, anchors.only_in_reference) == (1, 1)
    assert tables["daily_batch_smoothed"].only_in_database == 1
    assert tables["daily_batch_smoothed"].only_in_reference == 1
    assert tables["int_plan_days"].only_in_reference == 1
    assert not tables["container_forecast"].agrees
    assert tiny.rejected_only_in_database["record_id"].tolist() == [99999999]
    assert len(tiny.rejected_only_in_reference) > 0


def test_a_batch_by_itself_shows_what_is_its_own(connection: psycopg.Connection[Any]) -> None:
    number, batch_id, states = connection.execute(
        f"select batch_number, batch_id, count(*) from {STATES} group by 1, 2 order by 1 limit 1"
    ).fetchone() or ("", 0, 0)
    for statement in SPOILT:
        connection.execute(statement)
    whole = compared(connection, WHOLE, (number,))
    assert plain(compared(connection, TINY, (number,))) == plain(whole)
    assert whole.rejected_only_in_database.empty
    assert whole.rejected_only_in_reference.empty
    assert whole.state_count + whole.only_in_reference == states
    (plans,) = (table for table in whole.tables if table.name == "int_plan_days")
    count = "select count(*) from anchorline_intermediate.int_plan_days where batch_id = %s"
    assert connection.execute(count, (batch_id,)).fetchone() == (plans.row_count,)


def test_rows_that_a_refresh_is_yet_to_change_are_told_apart(
    connection: psycopg.Connection[Any],
) -> None:
    began = server_time(connection)

    def log_refresh(ended_at: str) -> None:
        connection.execute(
            "insert into anchorline_ops.refresh_log (mode, reason, ended_at, outcome) "
            f"values ('scan', 'x', {ended_at}, 'succeeded')"
        )

    log_refresh("clock_timestamp() - interval '1 minute'")
    log_refresh("null")  # killed: nobody is at work
    assert reasons_to_verify_again(connection, "prod", began) == []
    lock = "(hashtext('anchorline refresh'), hashtext('anchorline'))"
    connection.execute("select pg_advisory_lock" + lock)
    (at_work,) = reasons_to_verify_again(connection, "prod", began)
    connection.execute("select pg_advisory_unlock" + lock)
    assert reasons_to_verify_again(connection, "prod", began) == []
    log_refresh("clock_timestamp()")
    connection.execute("insert into anchorline_ops.change_events (reason) values ('by hand')")
    ended, queued = reasons_to_verify_again(connection, "prod", began)
    assert ended == at_work
    assert "was at work" in at_work
    assert "(1 queued)" in queued
    connection.execute("drop schema anchorline_ops cascade")
    assert reasons_to_verify_again(connection, "prod", began) == []


def test_groups_compute_what_the_whole_farm_does(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    parameters = run_parameters(connection, "prod", {"as_of_date": AS_OF})
    farm, seeds = read_built_farm(connection, "prod")
    whole = compute(farm, seeds, parameters, None)

    part = read_views(connection, "prod", {view: COLUMNS[view] for view in READ_WHOLE})
    groups = read_groups(connection, "prod", part, seeds, parameters, TINY)
    assert groups.count > 3
    divided = DividedFarm(groups, None, tmp_path)
    bad = divided.set_records_aside(connection, "prod", seeds, parameters)
    parts = [compute(divided.farm(n), seeds, parameters, divided.sums(n)) for n in divided.numbers]

    def joined(frame: Callable[[Computed], pd.DataFrame], *keys: str) -> pd.DataFrame:
        frames = [found for found in map(frame, parts) if len(found)]
        return pd.concat(frames).sort_values([*keys]).reset_index(drop=True)

    def same(frame: Callable[[Computed], pd.DataFrame], *keys: str) -> None:
        expected = frame(whole).sort_values([*keys]).reset_index(drop=True)
        found = joined(frame, *keys).astype(expected.dtypes)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-12)

    def outlook(name: str, computed: Computed) -> pd.DataFrame:
        return computed.outlook[name]

    same(lambda c: c.result.states, "assignment_id", "state_date")
    same(lambda c: c.result.unrounded, "assignment_id", "state_date")
    same(lambda c: c.smoothed.unrounded, "assignment_id", "state_date")
    same(lambda c: c.smoothed.batch_days, "batch_id", "state_date")
    for name in whole.outlook:
        keys = ["scenario_id"] if name == "int_plan_days" else ["assignment_id"]
        day_column = [] if name == "container_forecast" else ["state_date"]
        same(partial(outlook, name), "batch_id", *keys, *day_column)
    rejected = pd.concat([bad, *(found.result.rejected for found in parts)])
    keys = ["table_name", "record_id", "reason"]
    assert set(rejected[keys].itertuples(index=False, name=None)) == set(
        whole.result.rejected[keys].itertuples(index=False, name=None)
    )


def test_the_truth_in_parts_is_the_truth(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = "#assignment_id @state_date #population %avg_weight_g $anchor_type"
    states = read(connection, "anchorline_marts", "daily_assignment_states", columns)
    expected = error_table(states, read_truth(connection))
    assert expected["states"].iloc[-1] > 1000
    monkeypatch.setattr("anchorline.verify.truth.ASSIGNMENTS_AT_A_TIME", 7)
    pd.testing.assert_frame_equal(truth_errors(connection, "prod"), expected, rtol=1e-12)


# -- which lineages belong together ---------------------------------------------------------------


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    return read_seeds()


class ThreeBatches(SmallFarm):
    """Three batches, each ten days in a container of its own; nothing ties them yet."""

    def __init__(self) -> None:
        super().__init__()
        self.add("batches", *({"batch_id": i, "batch_number": f"B{i}"} for i in (2, 3)))
        for batch_id in (1, 2, 3):
            self.stay(batch_id, 1, 11, 100, batch_id=batch_id, container_id=batch_id)

    def groups(
        self, seeds: Seeds, feed: tuple[list[int], list[int]] = ([], []), size: int = TINY
    ) -> Groups:
        frames = {view: pd.DataFrame(rows) for view, rows in self.rows.items()}
        farm = Farm.from_frames({view: frames[view] for view in READ_WHOLE if view in frames})
        parameters = Parameters(as_of_date=day(30), today=day(30))
        stays, _ = check_assignments(farm, parameters, seeds)

        def container_feed(containers: IntArray) -> tuple[IntArray, IntArray]:
            rows = np.array([feed[0], feed[1]], dtype=np.int64)
            rows = rows[:, np.isin(rows[0], containers)]
            return rows[0], rows[1]

        return find_groups(
            farm, stays, container_feed, days_around=2, days_ahead=5, states_of_a_group=size
        )


def of_batches(groups: Groups) -> list[int]:
    return groups.owners["batches"].tolist()


def number(of: int) -> int:
    return day_of(day(of))


def test_batches_that_nothing_ties_are_apart_until_a_group_is_full(seeds: Seeds) -> None:
    assert of_batches(ThreeBatches().groups(seeds)) == [0, 1, 2]
    assert of_batches(ThreeBatches().groups(seeds, size=20)) == [0, 0, 1]
    assert of_batches(ThreeBatches().groups(seeds, size=30)) == [0, 0, 0]
    farm = ThreeBatches()
    farm.rows["assignments"][0] |= {"departure_date": None, "is_active": True}
    # its ten days have become thirty, and five to come
    assert of_batches(farm.groups(seeds, size=44)) == [0, 1, 1]
    assert of_batches(farm.groups(seeds, size=45)) == [0, 0, 1]


def test_a_transfer_between_batches_ties_them(seeds: Seeds) -> None:
    farm = ThreeBatches()
    farm.transfer(1, 3, 1, 5, 10)
    groups = farm.groups(seeds)
    assert of_batches(groups) == [0, 1, 0]
    assert groups.owners["transfer_actions"].tolist() == [0]
    assert [len(groups.part(n)["transfer_actions"]) for n in (0, 1)] == [1, 0]


def test_feed_of_a_container_ties_those_that_share_it_that_day(seeds: Seeds) -> None:
    farm = ThreeBatches()
    farm.stay(4, 5, 8, 10, batch_id=2, container_id=3)
    assert of_batches(farm.groups(seeds)) == [0, 1, 2]
    assert of_batches(farm.groups(seeds, ([3, 3], [number(4), number(8)]))) == [0, 1, 2]
    groups = farm.groups(seeds, ([3, 1], [number(7), number(7)]))
    assert of_batches(groups) == [0, 1, 1]


def test_records_go_where_they_are_read(seeds: Seeds) -> None:
    groups = ThreeBatches().groups(seeds)
    unknown = UNKNOWN
    events = {
        "assignment_id": [2, 99, unknown, unknown, unknown, unknown],
        "batch_id": [3, 2, 3, unknown, unknown, unknown],
        "container_id": [3, 2, 1, 2, 2, unknown],
        "feeding_date": [number(3), number(3), number(3), number(10), number(11), number(3)],
    }
    homes = groups.homes("feeding_events", lambda column: np.array(events[column]))
    # by assignment, also where it is not there; by batch; by container; nobody there; nothing named
    assert homes.row.tolist() == [0, 1, 2, 3, 4, 5]
    assert homes.group.tolist() == [1, 0, 2, 1, 0, 0]


def test_readings_go_to_all_that_may_need_them(seeds: Seeds) -> None:
    farm = ThreeBatches()
    farm.stay(4, 12, 15, 10, batch_id=1, container_id=2)
    groups = farm.groups(seeds)
    days = np.array([number(n) for n in (-2, -1, 9, 10, 12, 13, 16, 17)])
    homes = groups.water.homes(np.full(len(days), 2), days)
    found: dict[int, list[int]] = {row: [] for row in range(len(days))}
    for row, group in zip(homes.row.tolist(), homes.group.tolist(), strict=True):
        found[row].append(group)
    # batch 2 until day 10 and two days more, batch 1 from two days before day 12 on
    assert list(found.values()) == [[], [1], [1], [0, 1], [0, 1], [0], [0], []]
    assert len(groups.water.homes(np.array([7, 2]), np.array([number(3), UNKNOWN])).row) == 0
