"""Triggers queue exactly the batches that a write concerns, and never get in a writer's way."""

# ruff: noqa: S608  (statements are put together of names that stand in this file)

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from anchorline.cli import main
from anchorline.cli.demo import load_demo
from anchorline.database import EmbeddedServer
from anchorline.demo import ops
from anchorline.errors import AnchorlineError
from anchorline.events import queue
from anchorline.events.backoff import BackOff
from anchorline.events.install import (
    Place,
    examine,
    install,
    queue_table_statements,
    remove,
)
from anchorline.events.watched import (
    CHANNEL,
    UNREAD_COLUMNS,
    UNWATCHED,
    function_name,
    read_columns,
    table_queries,
)
from anchorline.raw import schema as raw
from anchorline.raw.sources import read_sources
from anchorline.settings import project_folder

Connection = psycopg.Connection[Any]
Events = set[tuple[int | None, str | None]]

OPS = "anchorline_ops"
PLACE = Place("public", OPS, "UTC", read_sources(), read_sources(source_name="ops"))
NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
SCAN: Events = {(None, None)}


# A farm that fits in the head
#
#   batch 1 from Jan 1: container 10 until Mar 1, then container 11
#   batch 2 from Feb 1: container 12
#   batch 3 from Mar 5: container 10, in which batch 1 was before
#
#   scenario 1 of batch 1: TGC model 1, mortality model 1, FCR model 1, stage limits 1
#   scenario 2 of batch 2: TGC model 1, from day 50 on model 4; mortality and FCR model 2
#   scenario 3 of no batch, to whose run 30 batch 3 is pinned: TGC, mortality and FCR model 2
#   scenario 4, which nobody uses: TGC, mortality and FCR model 3
#
#   each batch has parents from its second day on: those of batch 3 are known to the breeding plan,
#   of batch 1 to the egg production, of batch 2 by number

FARM: tuple[tuple[str, dict[str, Any]], ...] = (
    ("batch_species", {"id": 1}),
    ("batch_species", {"id": 2}),
    ("batch_lifecyclestage", {"id": 1, "species_id": 1, "order": 1}),
    ("batch_lifecyclestage", {"id": 2, "species_id": 2, "order": 1}),
    ("infrastructure_container", {"id": 10}),
    ("infrastructure_container", {"id": 11}),
    ("infrastructure_container", {"id": 12}),
    ("batch_batch", {"id": 1, "start_date": "2025-01-01", "species_id": 1}),
    ("batch_batch", {"id": 2, "start_date": "2025-02-01", "species_id": 1}),
    (
        "batch_batch",
        {"id": 3, "start_date": "2025-03-05", "species_id": 1, "pinned_projection_run_id": 30},
    ),
    (
        "batch_batchcontainerassignment",
        {
            "id": 101,
            "batch_id": 1,
            "container_id": 10,
            "assignment_date": "2025-01-01",
            "departure_date": "2025-03-01",
        },
    ),
    (
        "batch_batchcontainerassignment",
        {"id": 102, "batch_id": 1, "container_id": 11, "assignment_date": "2025-03-01"},
    ),
    (
        "batch_batchcontainerassignment",
        {"id": 201, "batch_id": 2, "container_id": 12, "assignment_date": "2025-02-01"},
    ),
    (
        "batch_batchcontainerassignment",
        {"id": 301, "batch_id": 3, "container_id": 10, "assignment_date": "2025-03-05"},
    ),
    ("batch_growthsample", {"id": 1, "assignment_id": 101, "sample_date": "2025-02-01"}),
    (
        "batch_transferaction",
        {
            "id": 1,
            "workflow_id": 1,
            "status": "COMPLETED",
            "actual_execution_date": "2025-03-01",
            "source_assignment_id": 101,
            "dest_assignment_id": 102,
        },
    ),
    ("harvest_harvestevent", {"id": 1, "batch_id": 2, "assignment_id": 201}),
    (
        "health_healthsamplingevent",
        {"id": 1, "assignment_id": 201, "sampling_date": "2025-04-01"},
    ),
    ("health_healthsamplingevent", {"id": 2, "assignment_id": 301, "sampling_date": "2025-04-02"}),
    (
        "health_treatment",
        {"id": 1, "batch_id": 2, "includes_weighing": True, "sampling_event_id": 1},
    ),
    ("scenario_tgcmodel", {"model_id": 1, "profile_id": 1}),
    ("scenario_tgcmodel", {"model_id": 2, "profile_id": 2}),
    ("scenario_tgcmodel", {"model_id": 3, "profile_id": 3}),
    ("scenario_tgcmodel", {"model_id": 4, "profile_id": 4}),
    (
        "scenario",
        {
            "scenario_id": 1,
            "batch_id": 1,
            "tgc_model_id": 1,
            "mortality_model_id": 1,
            "fcr_model_id": 1,
            "biological_constraints_id": 1,
        },
    ),
    (
        "scenario",
        {
            "scenario_id": 2,
            "batch_id": 2,
            "tgc_model_id": 1,
            "mortality_model_id": 2,
            "fcr_model_id": 2,
        },
    ),
    (
        "scenario",
        {"scenario_id": 3, "tgc_model_id": 2, "mortality_model_id": 2, "fcr_model_id": 2},
    ),
    (
        "scenario",
        {"scenario_id": 4, "tgc_model_id": 3, "mortality_model_id": 3, "fcr_model_id": 3},
    ),
    *(
        (
            "broodstock_batchparentage",
            {"id": n, "batch_id": n, "egg_production_id": n, "assignment_date": f"{day} 12:00+00"},
        )
        for n, day in enumerate(("2025-01-02", "2025-02-02", "2025-03-06"), start=1)
    ),
    ("broodstock_eggproduction", {"id": 1, "pair_id": 1}),
    ("broodstock_eggproduction", {"id": 3, "pair_id": 3}),
    ("broodstock_breedingpair", {"id": 3, "plan_id": 3}),
    ("scenario_fcrmodelstage", {"id": 1, "model_id": 1, "stage_id": 1}),
    ("scenario_fcrmodelstage", {"id": 2, "model_id": 3, "stage_id": 1}),
    ("scenario_projection_run", {"run_id": 30, "scenario_id": 3}),
    ("scenario_scenariomodelchange", {"change_id": 1, "scenario_id": 2, "new_tgc_model_id": 4}),
)
B1, B2, B3 = (1, "2025-01-01"), (2, "2025-02-01"), (3, "2025-03-05")
P1, P2, P3 = (1, "2025-01-02"), (2, "2025-02-02"), (3, "2025-03-06")


@dataclass(frozen=True)
class Writes:
    """A row that is inserted, then updated, then deleted; and the events that each makes."""

    row: dict[str, Any]
    inserted: Events
    changes: dict[str, Any]
    updated: Events
    deleted: Events


WRITES: dict[str, Writes] = {
    "batch_species": Writes(
        {"id": 5}, set(), {"id": 1, "name": "Trout"}, {B1, B2, B3}, {B1, B2, B3}
    ),
    "batch_lifecyclestage": Writes(
        {"id": 5, "species_id": 2, "order": 7},
        set(),
        {"species_id": 1},
        {B1, B2, B3},
        {B1, B2, B3},
    ),
    "batch_batch": Writes(
        {"id": 5, "start_date": "2025-05-01"},
        {(5, "2025-05-01")},
        {"start_date": "2025-04-20"},
        {(5, "2025-04-20")},
        {(5, "2025-04-20")},
    ),
    "batch_batchcontainerassignment": Writes(
        {"batch_id": 1, "assignment_date": "2025-05-01"},
        {(1, "2025-05-01")},
        {"batch_id": 2, "assignment_date": "2025-05-03"},
        {(1, "2025-05-01"), (2, "2025-05-03")},
        {(2, "2025-05-03")},
    ),
    "batch_growthsample": Writes(
        {"assignment_id": 102, "sample_date": "2025-05-01"},
        {(1, "2025-05-01")},
        {"assignment_id": 201},
        {(1, "2025-05-01"), (2, "2025-05-01")},
        {(2, "2025-05-01")},
    ),
    "batch_batchtransferworkflow": Writes(
        {"id": 7, "planned_activity_id": 1},
        set(),
        {"id": 1},
        {(1, "2025-03-01")},
        {(1, "2025-03-01")},
    ),
    "batch_transferaction": Writes(
        {
            "workflow_id": 2,
            "status": "COMPLETED",
            "actual_execution_date": "2025-05-01",
            "source_assignment_id": 102,
            "dest_assignment_id": 201,
        },
        {(1, "2025-05-01"), (2, "2025-05-01")},
        {"actual_execution_date": "2025-04-28", "dest_assignment_id": 301},
        {(1, "2025-04-28"), (2, "2025-05-01"), (3, "2025-04-28")},
        {(1, "2025-04-28"), (3, "2025-04-28")},
    ),
    "batch_mortalityevent": Writes(
        {"batch_id": 1, "event_date": "2025-05-01"},
        {(1, "2025-05-01")},
        {"assignment_id": 201, "event_date": "2025-05-02"},
        {(1, "2025-05-01"), (2, "2025-05-02")},
        {(1, "2025-05-02"), (2, "2025-05-02")},
    ),
    "health_mortalityrecord": Writes(
        # the evening of May 1 in UTC
        {"batch_id": 1, "event_date": "2025-05-02 01:00+02"},
        {(1, "2025-05-01")},
        {"assignment_id": 301},
        {(1, "2025-05-01"), (3, "2025-05-01")},
        {(1, "2025-05-01"), (3, "2025-05-01")},
    ),
    "batch_creationaction": Writes(
        {"status": "COMPLETED", "dest_assignment_id": 101, "actual_delivery_date": "2025-01-02"},
        {(1, "2025-01-02")},
        {"actual_delivery_date": None},
        {(1, None)},
        {(1, None)},
    ),
    "infrastructure_container": Writes(
        {"id": 13},
        SCAN,
        {"id": 10, "name": "Ring 1"},
        # nobody was in 13; in 10 there were two
        {(None, None), B1, B3},
        {B1, B3},
    ),
    "infrastructure_containertype": Writes({}, SCAN, {"name": "Vat"}, SCAN, SCAN),
    "infrastructure_hall": Writes({}, SCAN, {"name": "Hall"}, SCAN, SCAN),
    "infrastructure_area": Writes({}, SCAN, {"name": "Bay"}, SCAN, SCAN),
    "infrastructure_freshwaterstation": Writes({}, SCAN, {"name": "Station"}, SCAN, SCAN),
    "infrastructure_geography": Writes({}, SCAN, {"name": "North"}, SCAN, SCAN),
    "environmental_environmentalparameter": Writes({}, SCAN, {"name": "Oxygen"}, SCAN, SCAN),
    "inventory_feedingevent": Writes(
        {"batch_id": 2, "feeding_date": "2025-05-01"},
        {(2, "2025-05-01")},
        {"batch_id": 3, "batch_assignment_id": 301, "amount_kg": 12},
        {(2, "2025-05-01"), (3, "2025-05-01")},
        {(3, "2025-05-01")},
    ),
    "health_healthsamplingevent": Writes(
        {"assignment_id": 101, "sampling_date": "2025-02-20"},
        {(1, "2025-02-20")},
        {"sampling_date": "2025-02-19"},
        {(1, "2025-02-19")},
        {(1, "2025-02-19")},
    ),
    "health_individualfishobservation": Writes(
        {"sampling_event_id": 1},
        {(2, "2025-04-01")},
        {"sampling_event_id": 2},
        {(2, "2025-04-01"), (3, "2025-04-02")},
        {(3, "2025-04-02")},
    ),
    "health_treatment": Writes(
        {
            "batch_id": 2,
            "treatment_date": "2025-04-02 10:00+00",
            "includes_weighing": True,
            "sampling_event_id": 1,
        },
        {(2, "2025-04-01")},
        {"sampling_event_id": 2},
        {(2, "2025-04-01"), (3, "2025-04-02")},
        {(2, "2025-04-02"), (3, "2025-04-02")},
    ),
    "harvest_harvestevent": Writes(
        {"batch_id": 2, "assignment_id": 201, "event_date": "2025-05-01 10:00+00"},
        {(2, "2025-05-01")},
        {"assignment_id": 301},
        {(2, "2025-05-01"), (3, "2025-05-01")},
        {(2, "2025-05-01"), (3, "2025-05-01")},
    ),
    "harvest_harvestlot": Writes(
        {"event_id": 1},
        {(2, "2025-01-01")},
        {"event_id": 99},
        {(2, "2025-01-01"), (None, None)},
        SCAN,
    ),
    "scenario": Writes(
        {"scenario_id": 9},
        set(),
        {"batch_id": 2, "initial_weight": 7},
        {B2},
        {B2},
    ),
    "scenario_projection_run": Writes(
        {"run_id": 31, "scenario_id": 1, "run_number": 2},
        set(),
        {"run_id": 30},
        {B3},
        {B3},
    ),
    "scenario_scenarioprojection": Writes(
        {"projection_run_id": 31, "day_number": 5},
        set(),
        {"projection_run_id": 30},
        {B3},
        {B3},
    ),
    "scenario_scenariomodelchange": Writes(
        {"scenario_id": 1, "change_day": 31},
        {(1, "2025-01-31")},
        {"change_day": -4},
        {B1},
        {B1},
    ),
    "scenario_tgcmodel": Writes(
        {"model_id": 9},
        set(),
        {"model_id": 1, "tgc_value": 3},
        {B1, B2},
        {B1, B2},
    ),
    "scenario_tgc_model_stage": Writes(
        {"tgc_model_id": 2}, {B3}, {"tgc_model_id": 4}, {B2, B3}, {B2}
    ),
    "scenario_temperaturereading": Writes(
        {"profile_id": 1, "day_number": 5}, {B1, B2}, {"profile_id": 2}, {B1, B2, B3}, {B3}
    ),
    "scenario_mortalitymodel": Writes({"model_id": 9}, set(), {"model_id": 2}, {B2, B3}, {B2, B3}),
    "scenario_mortality_model_stage": Writes(
        {"mortality_model_id": 1}, {B1}, {"mortality_model_id": 3}, {B1}, set()
    ),
    "planning_plannedactivity": Writes(
        {"batch_id": 1, "due_date": "2025-05-01"},
        {(1, "2025-05-01")},
        {"batch_id": 2},
        {(1, "2025-05-01"), (2, "2025-05-01")},
        {(2, "2025-05-01")},
    ),
    "planning_activitytemplate": Writes({}, SCAN, {"name": "Weigh"}, SCAN, SCAN),
    "broodstock_batchparentage": Writes(
        {"batch_id": 2, "egg_production_id": 1, "assignment_date": "2025-02-03 10:00+00"},
        {(2, "2025-02-03")},
        {"batch_id": 3},
        {(2, "2025-02-03"), (3, "2025-02-03")},
        {(3, "2025-02-03")},
    ),
    "broodstock_eggproduction": Writes({"id": 2, "pair_id": 1}, {P2}, {"pair_id": 3}, {P2}, {P2}),
    "broodstock_breedingpair": Writes({"id": 1, "plan_id": 4}, {P1}, {"plan_id": 5}, {P1}, {P1}),
    "broodstock_breedingtraitpriority": Writes({"plan_id": 3}, {P3}, {"plan_id": 4}, {P3}, set()),
    "scenario_fcrmodelstage": Writes(
        {"model_id": 2, "stage_id": 2}, {B2, B3}, {"model_id": 1}, {B1, B2, B3}, {B1}
    ),
    "scenario_fcr_model_stage_override": Writes(
        {"fcr_stage_id": 1}, {B1}, {"fcr_stage_id": 2}, {B1}, set()
    ),
    "scenario_stage_constraint": Writes(
        {"constraint_set_id": 1}, {B1}, {"constraint_set_id": 2}, {B1}, set()
    ),
    "manual_anchors": Writes(
        {"assignment_id": 101, "anchor_date": "2025-02-02"},
        {(1, "2025-02-02")},
        {"assignment_id": 201},
        {(1, "2025-02-02"), (2, "2025-02-02")},
        {(2, "2025-02-02")},
    ),
    "anchor_exclusions": Writes(
        {"anchor_type": "growth_sample", "record_id": 1},
        {(1, "2025-02-01")},
        {"anchor_type": "vaccination", "record_id": 1},
        {(1, "2025-02-01"), (2, "2025-04-01")},
        {(2, "2025-04-01")},
    ),
    "calibrations": Writes({}, SCAN, {"process_noise": 2}, SCAN, SCAN),
    "calibrated_tgc": Writes({}, SCAN, {"tgc": 2}, SCAN, SCAN),
}
"""Names that a unique key would refuse twice are moved to the row by an update of the key."""

TAKEN_OVER = {
    "batch_species": 1,
    "infrastructure_container": 10,
    "scenario_projection_run": 30,
    "scenario_tgcmodel": 1,
}
"""Rows of the farm that give way first, because the update of the test takes their key."""


NUMBERS = count(1000)
"""Keys and names of rows that nobody names."""


def key_of(table: str) -> str:
    if table in PLACE.ops_sources:
        return PLACE.ops_sources[table].key
    return raw.RAW_TABLES[table].primary_key


def relation(table: str, schema: str = "public") -> sql.Identifier:
    return sql.Identifier(OPS if table in PLACE.ops_sources else schema, table)


def filler(column: raw.Column, number: int) -> object:
    """A value for a column that must have one and that no test is about."""
    kinds = {
        "timestamptz": "2025-01-01 00:00+00",
        "date": "2025-01-01",
        "time": "00:00",
        "boolean": False,
        "jsonb": "{}",
        "text": f"t{number}",
    }
    if column.type.startswith("varchar"):
        return f"t{number}"
    return kinds.get(column.type, 1)


def add(conn: Connection, table: str, schema: str = "public", **values: Any) -> int:
    """Insert a row, with fillers where something must stand; return its key."""
    number = next(NUMBERS)
    if table in PLACE.ops_sources:
        required: dict[str, Any] = {
            "manual_anchors": {"weight_g": 1, "reason": "r", "entered_by": "e"},
            "anchor_exclusions": {"reason": "r", "excluded_by": "e"},
        }.get(table, {"calibration_id": number})
    else:
        required = {
            column.name: filler(column, number)
            for column in raw.RAW_TABLES[table].columns
            if not column.is_nullable and not column.is_primary_key
        }
        if key_of(table) not in values:
            values = {key_of(table): number} | values
    row = required | values
    inserted = conn.execute(
        sql.SQL("insert into {} ({}) values ({}) returning {}").format(
            relation(table, schema),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
            sql.Identifier(key_of(table)),
        ),
        list(row.values()),
    ).fetchone()
    assert inserted is not None
    return int(inserted[0])


def change(conn: Connection, table: str, key: int, **values: Any) -> None:
    conn.execute(
        sql.SQL("update {} set {} where {} = %s").format(
            relation(table),
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder())
                for name in values
            ),
            sql.Identifier(key_of(table)),
        ),
        [*values.values(), key],
    )


def delete(conn: Connection, table: str, key: int) -> None:
    conn.execute(
        sql.SQL("delete from {} where {} = %s").format(
            relation(table), sql.Identifier(key_of(table))
        ),
        (key,),
    )


def taken(conn: Connection) -> tuple[Events, set[str]]:
    """Take everything from the queue: (batch, day) and the reasons."""
    rows = conn.execute(
        f"delete from {OPS}.change_events returning batch_id, from_date::text, reason"
    ).fetchall()
    events = [(batch_id, day) for batch_id, day, _ in rows]
    assert len(events) == len(set(events)), "a statement makes one row per batch"
    return set(events), {reason for *_, reason in rows}


def make_farm(url: str, schema: str = "public") -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        raw.create_raw_tables(conn, schema)
        ops.prepare(conn, OPS)
        for table in ("calibrations", "calibrated_tgc"):
            columns = PLACE.ops_sources[table].columns
            conn.execute(
                sql.SQL("create table {} ({})").format(
                    relation(table),
                    sql.SQL(", ").join(
                        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.data_type))
                        for c in columns
                    ),
                )
            )
        for table, row in FARM:
            add(conn, table, schema, **row)


@pytest.fixture(scope="module")
def farm(make_database: Callable[[], str]) -> str:
    """A database with the small farm, without triggers; nobody is connected to it."""
    url = make_database()
    make_farm(url)
    return url


@pytest.fixture(scope="module")
def watched_farm(farm: str, copy_database: Callable[[str], str]) -> str:
    """The same with triggers; tests take back what they write."""
    url = copy_database(farm)
    with psycopg.connect(url, autocommit=True) as conn:
        install(conn, PLACE)
    return url


@pytest.fixture
def conn(watched_farm: str) -> Iterator[Connection]:
    """A transaction on the watched farm that is taken back; a warning fails the test."""
    with psycopg.connect(watched_farm) as connection:
        warnings: list[str] = []
        connection.add_notice_handler(lambda notice: warnings.append(str(notice.message_primary)))
        yield connection
        connection.rollback()
    assert warnings == []


@pytest.fixture
def own_farm(farm: str, copy_database: Callable[[str], str]) -> str:
    """A copy of the farm, for tests that commit; without triggers."""
    return copy_database(farm)


@pytest.fixture
def own_conn(own_farm: str) -> Iterator[Connection]:
    with psycopg.connect(own_farm, autocommit=True) as connection:
        yield connection


def warnings_of(conn: Connection) -> list[str]:
    warnings: list[str] = []
    conn.add_notice_handler(
        lambda notice: warnings.append(f"{notice.severity}: {notice.message_primary}")
    )
    return warnings


# What is noticed


def test_every_table_that_the_models_read_is_watched_or_has_a_reason() -> None:
    assert set(table_queries()) >= set(WRITES)
    assert set(WRITES) | set(UNWATCHED) == set(PLACE.raw_sources) | {
        *("manual_anchors", "anchor_exclusions"),
        *("calibrations", "calibrated_tgc"),
    }
    assert set(table_queries()) == set(WRITES)


@pytest.mark.parametrize("table", sorted(WRITES))
def test_insert_update_and_delete_name_the_batches_and_the_earliest_day(
    conn: Connection, table: str
) -> None:
    writes = WRITES[table]
    if table in TAKEN_OVER:
        delete(conn, table, TAKEN_OVER[table])
        taken(conn)

    key = add(conn, table, **writes.row)
    events, reasons = taken(conn)
    assert events == writes.inserted
    assert reasons == ({f"{table} insert"} if events else set())

    change(conn, table, key, **writes.changes)
    events, reasons = taken(conn)
    assert events == writes.updated
    assert reasons == {f"{table} update"}

    delete(conn, table, writes.changes.get(key_of(table), key))
    events, reasons = taken(conn)
    assert events == writes.deleted
    assert reasons == ({f"{table} delete"} if events else set())


@pytest.mark.parametrize("table", sorted(WRITES))
def test_statements_that_change_nothing_that_is_read_queue_nothing(
    conn: Connection, table: str
) -> None:
    writes = WRITES[table]
    key = add(conn, table, **writes.row)
    taken(conn)

    change(conn, table, key, **{key_of(table): key})
    change(conn, table, -1, **writes.changes)
    delete(conn, table, -1)
    conn.execute(sql.SQL("insert into {0} select * from {0} where false").format(relation(table)))
    if table in raw.RAW_TABLES:
        read = read_columns(PLACE.raw_sources)[table]
        unread = [c for c in raw.RAW_TABLES[table].columns if c.name not in read]
        change(conn, table, key, **{c.name: filler(c, 77) for c in unread} or {"id": key})

    assert taken(conn)[0] == set()


@pytest.mark.parametrize("table", sorted(WRITES))
def test_truncate_calls_for_a_scan(conn: Connection, table: str) -> None:
    conn.execute(sql.SQL("truncate {}").format(relation(table)))

    assert taken(conn) == (SCAN, {f"{table} truncate"})


def test_a_statement_of_many_rows_makes_one_event_per_batch(conn: Connection) -> None:
    conn.execute(
        """
        insert into batch_mortalityevent (
            event_date, count, biomass_kg, cause, description, created_at, updated_at, batch_id
        )
        select date '2025-05-10' - day, 1, 1, 'x', '', now(), now(), 1 + day % 2
        from generate_series(0, 7) as day
        """
    )
    assert taken(conn)[0] == {(1, "2025-05-04"), (2, "2025-05-03")}

    conn.execute("update batch_mortalityevent set count = 2 where event_date >= '2025-05-07'")
    assert taken(conn)[0] == {(1, "2025-05-08"), (2, "2025-05-07")}

    conn.execute("delete from batch_mortalityevent where batch_id = 2")
    assert taken(conn)[0] == {(2, "2025-05-03")}


def test_copy_is_noticed(conn: Connection) -> None:
    columns = "id, sample_date, sample_size, avg_weight_g, created_at, updated_at, assignment_id"
    with conn.cursor().copy(f"copy batch_growthsample ({columns}) from stdin") as copy:
        for day, assignment_id in (("2025-05-04", 102), ("2025-05-03", 102), ("2025-05-09", 201)):
            copy.write_row((next(NUMBERS), day, 5, 10, NOW, NOW, assignment_id))

    assert taken(conn)[0] == {(1, "2025-05-03"), (2, "2025-05-09")}


def test_rows_swapped_by_one_update_are_changes(conn: Connection) -> None:
    first = add(conn, "batch_growthsample", assignment_id=102, sample_date="2025-05-01")
    second = add(conn, "batch_growthsample", assignment_id=201, sample_date="2025-05-02")
    taken(conn)

    conn.execute(
        "update batch_growthsample set id = %(a)s + %(b)s - id where id in (%(a)s, %(b)s)",
        {"a": first + 100, "b": second},
    )
    conn.execute("update batch_growthsample set assignment_id = 303 - assignment_id")

    assert {batch for batch, _ in taken(conn)[0]} >= {1, 2}


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2025-02-28", {(1, "2025-02-28")}),
        ("2025-03-01", {(1, "2025-03-01")}),  # the departure day belongs to those who leave
        ("2025-03-03", SCAN),
        ("2025-03-05", {(3, "2025-03-05")}),
    ],
)
def test_what_names_only_a_container_belongs_to_the_batches_active_there(
    conn: Connection, day: str, expected: Events
) -> None:
    conn.execute("alter table inventory_feedingevent alter batch_id drop not null")
    conn.execute("alter table health_mortalityrecord alter batch_id drop not null")

    add(conn, "inventory_feedingevent", batch_id=None, container_id=10, feeding_date=day)
    assert taken(conn)[0] == expected
    add(conn, "health_mortalityrecord", batch_id=None, container_id=10, event_date=day)
    assert taken(conn)[0] == expected


@pytest.mark.parametrize(
    ("anchor_type", "record_id", "expected"),
    [
        ("growth_sample", 1, {(1, "2025-02-01")}),
        ("transfer", 1, {(1, "2025-03-01")}),
        ("vaccination", 1, {(2, "2025-04-01")}),
        ("health_sampling", 2, {(3, "2025-04-02")}),
        ("manual", 77, {(2, "2025-05-05")}),
        ("growth_sample", 4711, SCAN),
    ],
)
def test_an_exclusion_concerns_the_batch_of_its_measurement(
    conn: Connection, anchor_type: str, record_id: int, expected: Events
) -> None:
    conn.execute(
        f"""
        insert into {OPS}.manual_anchors (
            manual_anchor_id, assignment_id, anchor_date, weight_g, reason, entered_by
        )
        overriding system value values (77, 201, '2025-05-05', 1, 'r', 'e')
        """
    )
    taken(conn)

    add(conn, "anchor_exclusions", anchor_type=anchor_type, record_id=record_id)

    assert taken(conn)[0] == expected


def test_what_cannot_be_resolved_calls_for_a_scan(conn: Connection) -> None:
    add(conn, "batch_growthsample", assignment_id=4711, sample_date="2025-05-01")
    assert taken(conn)[0] == SCAN

    conn.execute("update batch_growthsample set assignment_id = 4712 - (id = 1)::integer * 4610")
    assert taken(conn)[0] == {(None, None), (1, "2025-02-01")}


def test_planned_transfers_and_deliveries_queue_nothing_until_they_are_completed(
    conn: Connection,
) -> None:
    transfer = add(
        conn, "batch_transferaction", status="PENDING", source_assignment_id=102, workflow_id=3
    )
    delivery = add(conn, "batch_creationaction", status="PENDING", dest_assignment_id=201)
    treatment = add(conn, "health_treatment", batch_id=3, includes_weighing=False)
    change(conn, "batch_transferaction", transfer, transferred_count=7)
    assert taken(conn)[0] == set()

    change(conn, "batch_transferaction", transfer, status="COMPLETED")
    assert taken(conn)[0] == {(1, None)}
    change(conn, "batch_creationaction", delivery, status="COMPLETED")
    assert taken(conn)[0] == {(2, None)}
    change(conn, "health_treatment", treatment, includes_weighing=True, sampling_event_id=2)
    assert taken(conn)[0] == {(3, "2025-01-01")}
    change(conn, "batch_transferaction", transfer, status="FAILED")
    assert taken(conn)[0] == {(1, None)}


@pytest.mark.parametrize(
    ("source", "condition"),
    [
        ("stg_transfer_actions", "transfer_status = 'COMPLETED'"),
        ("stg_creation_actions", "creation_status = 'COMPLETED'"),
        ("stg_treatments", "includes_weighing and health_sampling_event_id is not null"),
    ],
)
def test_the_models_leave_out_the_rows_that_queue_nothing(source: str, condition: str) -> None:
    models = [path.read_text("utf-8") for path in (project_folder() / "models").rglob("*.sql")]
    readers = [text for text in models if re.search(rf"\('{source}'", text)]

    assert readers
    for text in readers:
        checked = "int_transfer_actions_checked" in text and "inner join" in text
        assert condition in " ".join(text.split()) or checked


def test_days_that_no_calendar_has_are_as_early_as_can_be(conn: Connection) -> None:
    for day in ("infinity", "-infinity", "0044-03-15 BC"):
        add(conn, "batch_mortalityevent", batch_id=1, event_date=day)

        assert taken(conn)[0] == {(1, None)}
        assert queue.read_events(conn, OPS) == []


def test_the_time_zone_decides_the_day_of_an_instant(own_farm: str, own_conn: Connection) -> None:
    install(own_conn, replace(PLACE, time_zone="Pacific/Auckland"))

    add(own_conn, "health_mortalityrecord", batch_id=1, event_date="2025-05-01 13:00+00")

    assert taken(own_conn)[0] == {(1, "2025-05-02")}


def test_a_death_that_lowers_the_live_count_is_two_events_of_one_batch(conn: Connection) -> None:
    add(conn, "batch_mortalityevent", batch_id=1, assignment_id=102, event_date="2025-05-01")
    change(conn, "batch_batchcontainerassignment", 102, population_count=99)

    (entry,) = queue.read_events(conn, OPS)
    assert (entry.batch_id, entry.from_date) == (1, date(2025, 3, 1))
    assert entry.reasons == ("batch_batchcontainerassignment update", "batch_mortalityevent insert")


def test_a_whole_demo_farm_is_loaded_and_deleted_through_the_triggers(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    url = make_database()
    with psycopg.connect(url, autocommit=True) as conn:
        raw.create_raw_tables(conn, "public")
        ops.prepare(conn, OPS)
        install(conn, PLACE)
    use_database(url)

    load_demo("prod", batches=3, as_of=date(2025, 9, 30), seed=1, readings=False)

    with psycopg.connect(url) as conn:
        warnings = warnings_of(conn)
        batches = {number for (number,) in conn.execute("select id from batch_batch").fetchall()}
        assert batches <= {entry.batch_id for entry in queue.read_events(conn, OPS)}
        for table in ("batch_growthsample", "batch_mortalityevent", "inventory_feedingevent"):
            conn.execute(f"delete from {OPS}.change_events")
            column = "batch_id" if table != "batch_growthsample" else "assignment_id"
            day = {
                "batch_growthsample": "sample_date",
                "batch_mortalityevent": "event_date",
                "inventory_feedingevent": "feeding_date",
            }[table]
            expected = conn.execute(
                f"""
                select assignments.batch_id, min(rows.{day})::text
                from {table} as rows
                inner join batch_batchcontainerassignment as assignments
                    on rows.{column} = assignments.{column.replace("assignment_id", "id")}
                group by assignments.batch_id
                """
            ).fetchall()
            conn.execute(f"delete from {table}")
            assert taken(conn)[0] == set(expected)
        assert warnings == []


# Writers come first


def test_a_large_statement_after_a_small_one_is_not_planned_like_it(conn: Connection) -> None:
    # a session keeps the plan of its first statement; with nested loops over the rows of the
    # large one it would take minutes, and the timeout is what a trigger cannot survive
    key = add(conn, "batch_mortalityevent", batch_id=1, event_date="2025-02-01")
    change(conn, "batch_mortalityevent", key, count=2)
    delete(conn, "batch_mortalityevent", key)
    conn.execute(f"delete from {OPS}.change_events")
    conn.execute("set local statement_timeout = '30s'")
    conn.execute(
        """
        insert into batch_mortalityevent (
            id, event_date, count, biomass_kg, cause, description, created_at, updated_at,
            batch_id, assignment_id
        )
        select 100000 + n, '2025-02-01', 1, 1, 'x', '', now(), now(), 1, 101
        from generate_series(1, %s) as n
        """,
        (40_000,),
    )
    taken(conn)
    conn.execute("update batch_mortalityevent set count = 3")
    assert taken(conn)[0] == {(1, "2025-02-01")}
    conn.execute("delete from batch_mortalityevent")
    assert taken(conn)[0] == {(1, "2025-02-01")}


def test_a_writer_waits_for_nobody(own_farm: str, own_conn: Connection) -> None:
    install(own_conn, PLACE)
    with (
        psycopg.connect(own_farm) as other_writer,
        psycopg.connect(own_farm) as drainer,
        psycopg.connect(own_farm, autocommit=True) as writer,
    ):
        warnings = warnings_of(writer)
        writer.execute("set lock_timeout = '200ms'")
        add(writer, "batch_growthsample", assignment_id=102, sample_date="2025-05-01")
        # events of the same batch, written and not yet committed
        add(other_writer, "batch_growthsample", id=500, assignment_id=102)
        change(other_writer, "batch_batchcontainerassignment", 102, population_count=5)
        # the queue is being drained, and has been locked against other drainers
        drainer.execute(f"lock table {OPS}.change_events in row exclusive mode")
        (entry,) = queue.ready_events(drainer, OPS, NOW)
        queue.delete_events(drainer, OPS, entry.event_ids)

        began = time.monotonic()
        for number in range(20):
            add(writer, "batch_growthsample", id=600 + number, assignment_id=102)
        assert time.monotonic() - began < 2

        drainer.commit()
        other_writer.commit()
        assert warnings == []
        (entry,) = queue.read_events(own_conn, OPS)
        # the other writer's two came in with smaller ids, after the drainer had read
        assert len(entry.event_ids) == 22
        assert entry.event_ids[0] < entry.event_ids[2]


@pytest.mark.parametrize(
    ("locked", "queued"),
    [(f"{OPS}.change_events", set()), ("batch_batchcontainerassignment", SCAN)],
)
def test_not_even_for_a_table_that_is_being_migrated(
    own_farm: str, own_conn: Connection, locked: str, queued: Events
) -> None:
    install(own_conn, PLACE)
    with psycopg.connect(own_farm) as migration, psycopg.connect(own_farm) as writer:
        warnings = warnings_of(writer)
        writer.execute("set lock_timeout = '5s'")
        migration.execute(f"lock table {locked} in access exclusive mode")

        began = time.monotonic()
        add(writer, "batch_growthsample", id=500, assignment_id=102)
        writer.commit()
        assert time.monotonic() - began < 2

        migration.rollback()
    assert any("lock timeout" in warning for warning in warnings)
    assert all(warning.startswith("WARNING: anchorline could not") for warning in warnings)
    assert own_conn.execute(
        "select count(*) from batch_growthsample where id = 500"
    ).fetchone() == (1,)
    assert taken(own_conn)[0] == queued


@pytest.mark.parametrize(
    "breakage",
    [
        f"drop table {OPS}.change_events",
        f"alter table {OPS}.change_events add check (reason = 'nothing')",
        f"alter table {OPS}.change_events rename column reason to because",
    ],
)
def test_without_its_queue_a_write_goes_on_with_a_warning(
    own_conn: Connection, breakage: str
) -> None:
    install(own_conn, PLACE)
    own_conn.execute(breakage)
    warnings = warnings_of(own_conn)

    with own_conn.transaction():
        add(own_conn, "batch_growthsample", id=500, assignment_id=102)
        change(own_conn, "batch_growthsample", 500, avg_weight_g=7)
        own_conn.execute("truncate batch_mortalityevent")

    rows = own_conn.execute("select avg_weight_g from batch_growthsample where id = 500")
    assert rows.fetchone() == (7,)
    assert len(warnings) == 6
    assert all(warning.startswith("WARNING: anchorline could not") for warning in warnings)


def test_a_column_that_is_gone_costs_the_batch_but_not_the_event(own_conn: Connection) -> None:
    install(own_conn, PLACE)
    own_conn.execute("alter table batch_growthsample rename column sample_date to sampled_on")
    warnings = warnings_of(own_conn)

    own_conn.execute("update batch_growthsample set avg_weight_g = 7")

    assert taken(own_conn)[0] == SCAN
    (warning,) = warnings
    assert "batch_growthsample" in warning
    (table,) = [t for t in examine(own_conn, PLACE).tables if t.table == "batch_growthsample"]
    assert table.state == "outdated"


def test_what_a_writer_puts_into_its_search_path_is_not_used(
    own_farm: str, own_conn: Connection, server: EmbeddedServer
) -> None:
    install(own_conn, PLACE)
    role = "event_attacker"
    with server.admin_connection() as admin:
        admin.execute(f"drop role if exists {role}")
        admin.execute(f"create role {role}")
        admin.execute(f"grant {role} to anchorline")
    name = psycopg.conninfo.conninfo_to_dict(own_farm)["dbname"]
    own_conn.execute(f"grant create, temporary on database {name} to {role}")
    own_conn.execute(f"grant insert, select on batch_growthsample to {role}")
    try:
        with psycopg.connect(own_farm, autocommit=True) as attacker:
            attacker.execute(f"set role {role}")
            attacker.execute(
                """
                create schema evil;
                create table evil.stolen (role text);
                grant all on evil.stolen to public;
                grant usage on schema evil to public;
                create function evil.spy(date, date) returns boolean language plpgsql as
                'begin insert into evil.stolen values (current_user); return true; end';
                create function evil.spy(bigint, bigint) returns boolean language plpgsql as
                'begin insert into evil.stolen values (current_user); return true; end';
                create operator evil.>= (function = evil.spy, leftarg = date, rightarg = date);
                create operator evil.= (function = evil.spy, leftarg = bigint, rightarg = bigint);
                create function evil.row_number() returns bigint language sql as 'select 666';
                create temporary table change_events (batch_id bigint, from_date date, reason text);
                create temporary table batch_batchcontainerassignment (id bigint, batch_id bigint);
                create temporary table new_rows (id bigint);
                set search_path = evil, pg_temp, pg_catalog, public;
                """
            )
            warnings = warnings_of(attacker)
            attacker.execute(
                """
                insert into public.batch_growthsample (
                    id, sample_date, sample_size, avg_weight_g, created_at, updated_at,
                    assignment_id
                )
                values (500, '2025-05-01', 1, 1, now(), now(), 102)
                """
            )
            assert warnings == []
            assert attacker.execute("select count(*) from evil.stolen").fetchone() == (0,)
            assert attacker.execute("select count(*) from pg_temp.change_events").fetchone() == (0,)
            # it cannot look at the queue, nor feed it through a table of its own
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                attacker.execute(f"select from {OPS}.change_events")
            own_conn.execute(f"grant usage on schema {OPS} to {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                attacker.execute(
                    f"""
                    create trigger feed after insert on evil.stolen
                    for each statement execute function
                    {OPS}.{function_name("batch_growthsample")}()
                    """
                )
        assert taken(own_conn)[0] == {(1, "2025-05-01")}
    finally:
        own_conn.execute(f"drop owned by {role} cascade")
        with server.admin_connection() as admin:
            admin.execute(f"drop role {role}")


# Installing


def test_installing_twice_changes_nothing_and_needs_no_lock(
    own_farm: str, own_conn: Connection
) -> None:
    assert not examine(own_conn, PLACE).is_installed
    assert len(install(own_conn, PLACE)) == len(WRITES)
    found = examine(own_conn, PLACE)
    assert found.is_complete
    assert {table.state for table in found.tables} == {"installed"}

    with psycopg.connect(own_farm) as writer:
        add(writer, "batch_growthsample", id=500, assignment_id=102)
        assert install(own_conn, PLACE, wait_seconds=0) == []


def test_what_differs_is_seen_and_put_right(own_farm: str, own_conn: Connection) -> None:
    install(own_conn, PLACE)
    elsewhere = replace(PLACE, time_zone="Atlantic/Faroe")
    states = {table.table: table.state for table in examine(own_conn, elsewhere).tables}
    assert {table for table, state in states.items() if state == "outdated"} == {
        "health_mortalityrecord",
        "health_treatment",
        "harvest_harvestevent",
        "harvest_harvestlot",
        "planning_plannedactivity",
        "broodstock_batchparentage",
        "broodstock_eggproduction",
        "broodstock_breedingpair",
        "broodstock_breedingtraitpriority",
    }
    # a function alone is replaced while its table is in use
    with psycopg.connect(own_farm) as writer:
        add(writer, "health_mortalityrecord", id=500)
        assert len(install(own_conn, elsewhere, wait_seconds=0)) == 9
    install(own_conn, PLACE)

    name = f"{OPS}.{function_name('batch_batch')}"
    for damage, state in (
        ("alter table batch_batch disable trigger anchorline_ops_event_update", "disabled"),
        ("drop trigger anchorline_ops_event_truncate on batch_batch", "outdated"),
        (f"alter function {name}() security invoker", "outdated"),
        (f"alter function {name}() reset search_path", "outdated"),
        (f"grant execute on function {name}() to public", "outdated"),
        (f"drop function {name}() cascade", "missing"),
    ):
        own_conn.execute(damage)
        damaged = [table for table in examine(own_conn, PLACE).tables if table.wants_install]
        assert [(t.table, t.state) for t in damaged] == [("batch_batch", state)], damage
        assert [table.table for table in install(own_conn, PLACE)] == ["batch_batch"], damage
        assert examine(own_conn, PLACE).is_complete, damage


def test_a_table_in_use_is_named_and_nothing_is_changed(
    own_farm: str, own_conn: Connection
) -> None:
    with psycopg.connect(own_farm, application_name="the app") as writer:
        add(writer, "batch_growthsample", id=500, assignment_id=102)
        began = time.monotonic()
        holder = r"the app, role anchorline\) holds batch_growthsample"
        with pytest.raises(AnchorlineError, match=holder) as caught:
            install(own_conn, PLACE, wait_seconds=0)
        # the patience for one table, not that for all of them
        assert "lock timeout" in str(caught.value.__cause__)
        assert time.monotonic() - began < 2
        assert not examine(own_conn, PLACE).is_installed
        assert not examine(own_conn, PLACE).has_queue
    install(own_conn, PLACE)
    with psycopg.connect(own_farm, application_name="the app") as reader:
        reader.execute("select from batch_growthsample")
        with pytest.raises(AnchorlineError, match="the app"):
            remove(own_conn, PLACE, wait_seconds=0)
    assert examine(own_conn, PLACE).is_complete


def test_remove_leaves_nothing_but_the_queue(own_conn: Connection) -> None:
    objects = """
        select
            (select count(*) from pg_trigger where not tgisinternal),
            (select count(*) from pg_proc where pronamespace = 'anchorline_ops'::regnamespace)
        """
    install(own_conn, PLACE)
    add(own_conn, "batch_growthsample", id=500, assignment_id=102)
    own_conn.execute("alter table batch_species rename to old_species")

    tables = remove(own_conn, PLACE)

    assert len(tables) == len(WRITES)
    assert "old_species" in tables
    assert own_conn.execute(objects).fetchone() == (0, 0)
    assert queue.queue_size(own_conn, OPS).event_count == 1
    assert remove(own_conn, PLACE, purge=True) == []
    assert not examine(own_conn, PLACE).has_queue


def test_a_table_that_was_replaced_is_watched_again(own_conn: Connection) -> None:
    install(own_conn, PLACE)
    own_conn.execute("alter table batch_species rename to old_species")
    own_conn.execute("create table batch_species (like old_species including all)")
    found = examine(own_conn, PLACE)
    assert found.obsolete == (function_name("batch_species"),)
    assert not found.is_complete

    install(own_conn, PLACE)

    assert examine(own_conn, PLACE).is_complete
    triggers = own_conn.execute(
        "select distinct tgrelid::regclass::text from pg_trigger where tgrelid::regclass::text "
        "like '%species'"
    ).fetchall()
    assert triggers == [("batch_species",)]


def test_an_instance_may_lack_what_is_optional(own_conn: Connection) -> None:
    own_conn.execute(
        f"drop table scenario_projection_run, harvest_harvestlot, {OPS}.manual_anchors"
    )
    own_conn.execute("drop table health_mortalityrecord, harvest_harvestevent")
    own_conn.execute("alter table batch_batch drop pinned_projection_run_id")
    own_conn.execute("alter table batch_batch add pinned_scenario_id bigint")
    own_conn.execute("alter table health_treatment drop includes_weighing")
    own_conn.execute("alter table batch_mortalityevent drop assignment_id")
    own_conn.execute("update batch_batch set pinned_scenario_id = 4 where id = 2")
    warnings = warnings_of(own_conn)

    install(own_conn, PLACE)

    absent = {
        t.table: t.is_optional for t in examine(own_conn, PLACE).tables if t.state == "absent"
    }
    assert absent == {
        "scenario_projection_run": True,
        "health_mortalityrecord": True,
        "harvest_harvestevent": True,
        "harvest_harvestlot": True,
        "manual_anchors": False,
    }
    own_conn.execute("update scenario set initial_weight = 3 where scenario_id = 4")
    assert taken(own_conn)[0] == {B2}
    own_conn.execute("update scenario_tgcmodel set tgc_value = 7 where model_id = 3")
    assert taken(own_conn)[0] == {B2}
    own_conn.execute("update batch_batch set pinned_scenario_id = null where id = 2")
    assert taken(own_conn)[0] == {B2}
    own_conn.execute("delete from health_treatment")
    assert taken(own_conn)[0] == set()
    own_conn.execute("update scenario_mortalitymodel set rate = 7")
    add(own_conn, "anchor_exclusions", anchor_type="manual", record_id=1)
    assert taken(own_conn)[0] == SCAN
    assert warnings == []


def test_views_and_hypertables_are_named_and_left_alone(own_conn: Connection) -> None:
    own_conn.execute("alter table batch_species rename to species")
    own_conn.execute("create view batch_species as select * from species")
    own_conn.execute("create schema timescaledb_information")
    own_conn.execute(
        "create view timescaledb_information.hypertables as "
        "select 'public'::name as hypertable_schema, "
        "'batch_mortalityevent'::name as hypertable_name"
    )

    install(own_conn, PLACE)

    found = examine(own_conn, PLACE)
    assert found.is_complete
    assert {table.table for table in found.tables if table.state == "unsupported"} == {
        "batch_species",
        "batch_mortalityevent",
    }


def test_names_with_quotes_and_blanks(make_database: Callable[[], str]) -> None:
    url = make_database()
    schema = """Farm's "raw" \\ data"""
    make_farm(url, schema)
    place = replace(PLACE, raw_schema=schema)
    with psycopg.connect(url, autocommit=True) as conn:
        warnings = warnings_of(conn)
        install(conn, place)
        assert examine(conn, place).is_complete
        add(conn, "batch_growthsample", schema, assignment_id=102, sample_date="2025-05-01")
        assert taken(conn)[0] == {(1, "2025-05-01")}
        assert warnings == []


def test_two_targets_can_watch_the_same_tables(own_conn: Connection) -> None:
    install(own_conn, PLACE)
    mine = replace(PLACE, ops_schema="dev_anna_ops")

    install(own_conn, mine)

    add(own_conn, "batch_growthsample", assignment_id=102, sample_date="2025-05-01")
    assert taken(own_conn)[0] == {(1, "2025-05-01")}
    assert queue.queue_size(own_conn, "dev_anna_ops").event_count == 1
    remove(own_conn, mine)
    assert examine(own_conn, PLACE).is_complete


@pytest.fixture
def make_role(server: EmbeddedServer, own_conn: Connection) -> Iterator[Callable[[str], str]]:
    """Make roles that the test's own role can take on; they are gone after the test."""
    roles: list[str] = []

    def make(name: str) -> str:
        with server.admin_connection() as admin:
            admin.execute(f"drop role if exists {name}")
            admin.execute(f"create role {name}")
            admin.execute(f"grant {name} to anchorline")
        roles.append(name)
        return name

    yield make
    for role in roles:
        own_conn.execute(f"reassign owned by {role} to anchorline")
        own_conn.execute(f"drop owned by {role}")
        with server.admin_connection() as admin:
            admin.execute(f"drop role {role}")


def test_rights_that_are_missing_are_named_as_grants(
    own_farm: str, own_conn: Connection, make_role: Callable[[str], str]
) -> None:
    role = make_role("event_owner")
    own_conn.execute(f"grant usage on schema public to {role}")
    with psycopg.connect(own_farm, autocommit=True) as conn:
        conn.execute(f"set role {role}")
        with pytest.raises(AnchorlineError, match="dbt build"):
            install(conn, PLACE)
        for statement in queue_table_statements(OPS).values():
            own_conn.execute(statement)

        with pytest.raises(AnchorlineError, match="lacks rights") as caught:
            install(conn, PLACE)

        grants = str(caught.value.details).splitlines()
        assert 'grant create on schema "anchorline_ops" to "event_owner";' in grants
        assert not examine(own_conn, PLACE).is_installed
        for grant in grants:
            own_conn.execute(grant)
        install(conn, PLACE)

        add(own_conn, "batch_growthsample", assignment_id=102, sample_date="2025-05-01")
        assert taken(own_conn)[0] == {(1, "2025-05-01")}
        conn.execute(f"set role {make_role('event_stranger')}")
        with pytest.raises(AnchorlineError, match="belong to event_owner"):
            remove(conn, PLACE)
        own_conn.execute(f"revoke insert on {OPS}.change_events from {role}")
        assert not examine(own_conn, PLACE).is_complete
        conn.execute(f"set role {role}")
        assert len(remove(conn, PLACE)) == len(WRITES)


def test_a_superuser_leaves_the_functions_to_the_owner_of_the_tables(
    own_farm: str, own_conn: Connection, server: EmbeddedServer
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(own_farm)["dbname"]
    with server.admin_connection(name) as admin:
        install(admin, PLACE)

    owners = own_conn.execute(
        "select distinct proowner::regrole::text, prosecdef from pg_proc "
        "where pronamespace = 'anchorline_ops'::regnamespace"
    ).fetchall()
    assert owners == [("anchorline", True)]


def test_a_schema_without_raw_tables_is_an_error(own_conn: Connection) -> None:
    with pytest.raises(AnchorlineError, match='"elsewhere" holds no table'):
        install(own_conn, replace(PLACE, raw_schema="elsewhere"))


def test_the_ops_schema_is_made_where_it_is_missing(make_database: Callable[[], str]) -> None:
    with psycopg.connect(make_database(), autocommit=True) as conn:
        raw.create_raw_tables(conn, "public", ["batch_batch", "batch_batchcontainerassignment"])

        install(conn, PLACE)

        add(conn, "batch_batch", id=7, start_date="2025-05-01")
        assert taken(conn)[0] == {(7, "2025-05-01")}


def test_dbt_makes_the_same_tables() -> None:
    path = Path("macros", "operations", "create_ops_tables.sql")
    macro = " ".join((project_folder() / path).read_text("utf-8").split())

    for statement in queue_table_statements("{{ ops }}").values():
        for part in statement.split(";"):
            assert " ".join(part.split()) in macro


def test_listeners_hear_of_a_transaction_once(own_farm: str, own_conn: Connection) -> None:
    install(own_conn, PLACE)
    assert not examine(own_conn, PLACE).notify
    install(own_conn, PLACE, notify=True)
    found = examine(own_conn, PLACE)
    assert found.notify
    assert found.is_complete
    with psycopg.connect(own_farm, autocommit=True) as listener:
        listener.execute(f"listen {CHANNEL}")
        with own_conn.transaction():
            for number in range(3):
                add(own_conn, "batch_growthsample", id=500 + number, assignment_id=102)
        own_conn.execute("update batch_growthsample set notes = 'irrelevant'")

        assert [notice.payload for notice in listener.notifies(timeout=0.5)] == [""]


# The queue


def put(
    conn: Connection, batch_id: int | None, day: str | None, reason: str = "batch_batch update"
) -> int:
    row = conn.execute(
        f"insert into {OPS}.change_events (batch_id, from_date, reason) values (%s, %s, %s) "
        "returning event_id",
        (batch_id, day, reason),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_entries_are_merged_per_batch(conn: Connection) -> None:
    first = put(conn, 2, "2025-05-03", "a insert")
    put(conn, 1, "2025-05-01", "a insert")
    put(conn, None, None)
    last = put(conn, 2, "2025-05-01", "b update")
    put(conn, 2, "2025-05-02", "a insert")

    entries = queue.read_events(conn, OPS)

    assert [entry.batch_id for entry in entries] == [2, 1, None]
    assert entries[0].from_date == date(2025, 5, 1)
    assert entries[0].reasons == ("a insert", "b update")
    assert {first, last} < set(entries[0].event_ids)
    assert entries[0].oldest_at < entries[0].newest_at
    assert [entry.is_scan for entry in entries] == [False, False, True]
    put(conn, 2, None)
    assert queue.read_events(conn, OPS)[0].from_date is None


def test_exactly_what_was_read_is_deleted(conn: Connection) -> None:
    put(conn, 1, "2025-05-01")
    (entry,) = queue.read_events(conn, OPS)
    later = put(conn, 1, "2025-05-02")

    queue.record_success(conn, OPS, [entry])

    (left,) = queue.read_events(conn, OPS)
    assert left.event_ids == (later,)
    assert queue.delete_events(conn, OPS, [later, 10**12]) == 1


def test_a_failure_waits_longer_each_time_and_stops_nobody(conn: Connection) -> None:
    policy = BackOff(timedelta(seconds=10), 2.0, timedelta(minutes=1), attempts=3)
    put(conn, 1, "2025-05-01")
    put(conn, 2, "2025-05-01")
    poisoned, _ = queue.ready_events(conn, OPS, NOW)

    failure = queue.record_failure(conn, OPS, poisoned, "no", NOW, policy=policy)

    assert failure.attempt_count == 1
    assert failure.next_attempt_at == NOW + timedelta(seconds=10)
    put(conn, 1, "2025-04-01")  # it waits with the others of its batch
    soon = NOW + timedelta(seconds=9)
    assert [entry.batch_id for entry in queue.ready_events(conn, OPS, soon)] == [2]
    then = NOW + timedelta(seconds=10)
    poisoned = queue.ready_events(conn, OPS, then)[0]
    assert (poisoned.batch_id, poisoned.from_date) == (1, date(2025, 4, 1))
    failure = queue.record_failure(conn, OPS, poisoned, "still no", then, policy=policy)
    assert failure.next_attempt_at == then + timedelta(seconds=20)
    assert queue.read_failures(conn, OPS) == [failure]

    later = then + timedelta(seconds=20)
    (poisoned, _) = queue.ready_events(conn, OPS, later)
    failure = queue.record_failure(conn, OPS, poisoned, "never", later, policy=policy)

    assert (failure.attempt_count, failure.set_aside_at) == (3, later)
    assert failure.first_failed_at == NOW
    assert [entry.batch_id for entry in queue.read_events(conn, OPS)] == [2]
    assert queue.read_failures(conn, OPS) == [failure]


def test_a_batch_that_is_set_aside_is_tried_once_for_new_events(conn: Connection) -> None:
    put(conn, 1, "2025-05-01", "a insert")
    (entry,) = queue.read_events(conn, OPS)
    queue.set_aside(conn, OPS, entry, "no", NOW)
    assert queue.ready_events(conn, OPS, NOW) == []

    put(conn, 1, "2025-06-01", "b update")
    (entry,) = queue.ready_events(conn, OPS, NOW)
    failure = queue.record_failure(conn, OPS, entry, "no again", NOW)

    assert failure.set_aside_at == NOW
    assert failure.from_date == date(2025, 5, 1)
    assert failure.reasons == ("a insert", "b update")
    assert queue.ready_events(conn, OPS, NOW) == []

    put(conn, 1, "2025-06-01")
    queue.record_success(conn, OPS, queue.read_events(conn, OPS))
    assert queue.read_failures(conn, OPS) == []


def test_retry_puts_back_what_was_set_aside(conn: Connection) -> None:
    put(conn, 1, "2025-05-01", "a insert")
    put(conn, 1, None, "b update")
    (entry,) = queue.read_events(conn, OPS)
    queue.set_aside(conn, OPS, entry, "no", NOW)

    queue.retry(conn, OPS, 1)

    (again,) = queue.ready_events(conn, OPS, NOW)
    assert (again.batch_id, again.from_date, again.reasons) == (1, None, entry.reasons)
    (known,) = queue.read_failures(conn, OPS)
    assert (known.attempt_count, known.set_aside_at) == (0, None)
    queue.retry(conn, OPS, 1)
    assert len(queue.read_events(conn, OPS)) == 1
    queue.record_success(conn, OPS, [again])
    assert queue.read_failures(conn, OPS) == []
    with pytest.raises(AnchorlineError, match="No refresh of the batch with the id 1"):
        queue.retry(conn, OPS, 1)


def test_a_scan_fails_and_succeeds_like_a_batch(conn: Connection) -> None:
    put(conn, None, None)
    put(conn, 1, "2025-05-01")
    scan, batch = queue.read_events(conn, OPS)
    queue.record_failure(conn, OPS, scan, "no", NOW)
    queue.record_failure(conn, OPS, scan, "no", NOW)
    queue.record_failure(conn, OPS, batch, "no", NOW)
    assert [f.batch_id for f in queue.read_failures(conn, OPS)] == [1, None]
    assert queue.ready_events(conn, OPS, NOW) == []

    queue.record_success(conn, OPS, [scan])

    assert queue.read_failures(conn, OPS) == []
    assert [entry.batch_id for entry in queue.ready_events(conn, OPS, NOW)] == [1]


def test_pauses_grow_to_the_longest() -> None:
    policy = BackOff(timedelta(seconds=30), 3.0, timedelta(minutes=10), attempts=5)

    assert [policy.pause(n).total_seconds() for n in (1, 2, 3, 4, 99999)] == [
        30,
        90,
        270,
        600,
        600,
    ]
    assert [policy.is_spent(n) for n in (1, 4, 5, 6)] == [False, False, True, True]
    assert policy.next_attempt_at(2, NOW) == NOW + timedelta(seconds=90)
    assert policy.next_attempt_at(5, NOW) is None
    with pytest.raises(ValueError, match="attempt_count is 0"):
        policy.pause(0)
    with pytest.raises(ValueError, match="0 < first <= longest"):
        BackOff(first=timedelta(0))
    with pytest.raises(ValueError, match="at least 1"):
        BackOff(factor=0.5)


# The command line


def test_the_commands(
    own_farm: str, own_conn: Connection, use_database: Callable[[str], None]
) -> None:
    use_database(own_farm)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["events", *arguments, "--target", "prod"])
        assert result.exit_code == code, result.output
        return result.output

    assert "Not complete" in run("status", code=1)
    assert "no queue" in run("retry", "1", code=1)
    run("install")
    assert "Queue: empty" in run("status")
    add(own_conn, "batch_growthsample", assignment_id=102, sample_date="2025-05-01")
    assert "Queue: 1 entry of 1 batch" in run("status")
    report = json.loads(run("status", "--json"))
    assert report["is_complete"] is True
    assert report["queue"]["event_count"] == 1
    assert {table["state"] for table in report["tables"]} == {"installed"}

    (entry,) = queue.read_events(own_conn, OPS)
    queue.set_aside(own_conn, OPS, entry, "division by zero", NOW)
    shown = run("status", code=1)
    assert "set aside" in shown
    assert "division by zero" in shown
    number = own_conn.execute("select batch_number from batch_batch where id = 1").fetchone()
    assert number is not None
    run("retry", number[0])
    assert "No refresh of a scan has failed" in run("retry", "--scan", code=1)
    assert "Queue: 1 entry" in run("status")
    run("retry", code=2)
    queue.record_success(own_conn, OPS, queue.read_events(own_conn, OPS))
    assert "Nothing has failed" in run("retry", "--all")
    run("remove", "--purge")
    assert "Queue: not there" in run("status", code=1)


def test_created_at_is_read_by_no_model() -> None:
    staging = (project_folder() / "models" / "staging").glob("stg_*.sql")

    for path in staging:
        for column in UNREAD_COLUMNS:
            assert column not in path.read_text("utf-8"), path.name


def test_completion_of_an_activity_is_an_event(conn: Connection) -> None:
    """What it asked for may have been measured the day before; a note looks at its due date."""
    add(conn, "planning_plannedactivity", id=5, batch_id=1, due_date="2025-05-01")
    taken(conn)
    conn.execute("update planning_plannedactivity set notes = 'in the morning' where id = 5")
    assert taken(conn) == ({(1, "2025-05-01")}, {"planning_plannedactivity update"})
    conn.execute(
        "update planning_plannedactivity set status = 'COMPLETED', "
        "completed_at = '2025-04-20 10:00+00' where id = 5"
    )
    assert taken(conn) == ({(1, "2025-04-19")}, {"planning_plannedactivity update"})
