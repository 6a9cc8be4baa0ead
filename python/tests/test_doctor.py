"""The doctor names at once all that a first build lacks, and what each absence costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from anchorline import doctor
from anchorline.cli import main
from anchorline.cli.doctor import duration
from anchorline.database import EmbeddedServer
from anchorline.raw import schema as raw
from anchorline.raw.sources import read_sources

Connection = psycopg.Connection[Any]


@pytest.fixture
def url(make_database: Callable[[], str]) -> str:
    return make_database()


@pytest.fixture
def conn(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def examine(url: str, **changes: Any) -> doctor.Report:
    options: dict[str, Any] = {
        "target": "dev",
        "analytics_schema": "anchorline",
        "raw_schema": "public",
        "time_zone": "UTC",
        "sources": read_sources(),
        "role": None,
    } | changes
    role = options.pop("role")
    with psycopg.connect(url) as connection:
        if role:
            connection.execute(f"set role {role}")
            connection.commit()
        return doctor.examine(connection, **options)


def texts(report: doctor.Report, level: str) -> dict[str, str]:
    return {finding.subject: finding.text for finding in report.findings if finding.level == level}


def test_complete_tables_are_ready(url: str, conn: Connection) -> None:
    raw.create_raw_tables(conn, "public")

    report = examine(url)

    assert report.is_ready
    assert texts(report, "error") == {}
    notes = texts(report, "note").keys() - {"jit"}  # the server's setting
    assert notes == {"timescaledb", "column batch_batch.pinned_scenario_id"}
    assert "holds no rows" in texts(report, "warning")["public.batch_batchcontainerassignment"]


def test_every_missing_table_and_column_is_named_at_once(url: str, conn: Connection) -> None:
    raw.create_raw_tables(conn, "public")
    conn.execute("drop table batch_growthsample, inventory_feedingevent, harvest_harvestlot")
    conn.execute("alter table batch_batch drop column start_date")
    conn.execute("alter table batch_transferaction drop column selection_method")
    conn.execute("alter table batch_mortalityevent alter column event_date type text")

    report = examine(url)

    assert not report.is_ready
    assert texts(report, "error").keys() == {
        "table batch_growthsample",
        "table inventory_feedingevent",
        "column batch_batch.start_date",
    }
    notes = texts(report, "note")
    assert "harvests are not known" in notes["table harvest_harvestlot"]
    assert "average" in notes["column batch_transferaction.selection_method"]
    assert "expected date" in texts(report, "warning")["column batch_mortalityevent.event_date"]


def test_each_optional_part_has_its_cost() -> None:
    for source in read_sources().values():
        if source.is_optional:
            assert source.name in doctor.COST_OF_ABSENT
        for column in source.columns:
            if column.is_optional and column.name not in ("created_at", "updated_at"):
                assert f"{source.name}.{column.name}" in doctor.COST_OF_ABSENT


def test_database_without_raw_tables_is_one_finding(url: str) -> None:
    report = examine(url)

    errors = texts(report, "error")
    assert errors.keys() == {"raw schema"}
    assert "no raw tables in schema 'public' of database test_" in errors["raw schema"]
    assert "`anchorline load DIR --target dev`" in errors["raw schema"]
    assert "raw_schema" in errors["raw schema"]
    assert (report.tables, report.estimate) == ([], None)


def test_raw_tables_elsewhere_are_named(url: str, conn: Connection) -> None:
    raw.create_raw_tables(conn, "farm")

    assert (
        "there are raw tables in farm: look there with --raw-schema"
        in (texts(examine(url), "error")["raw schema"])
    )


def test_missing_schema_says_where_raw_tables_are(url: str, conn: Connection) -> None:
    raw.create_raw_tables(conn, "farm", ["batch_batchcontainerassignment"])

    text = texts(examine(url, raw_schema="raw"), "error")["raw schema"]

    assert "no schema 'raw'" in text
    assert "there are raw tables in farm" in text


def test_rights_that_are_missing_are_said_as_grants(
    server: EmbeddedServer, url: str, conn: Connection
) -> None:
    raw.create_raw_tables(conn, "farm")
    with server.admin_connection(conn.info.dbname) as admin:
        admin.execute("create role analyst")
        admin.execute("grant analyst to anchorline")
        closed = examine(url, raw_schema="farm", role="analyst")
        conn.execute("grant usage on schema farm to analyst")
        conn.execute("grant select on all tables in schema farm to analyst")
        conn.execute("revoke select on farm.batch_batch from analyst")
        half_open = examine(url, raw_schema="farm", role="analyst")
        conn.execute("grant select on farm.batch_batch to analyst")
        conn.execute("create schema anchorline_marts")
        foreign = examine(url, raw_schema="farm", role="analyst")
        admin.execute("drop owned by analyst")
        admin.execute("drop role analyst")

    errors = texts(closed, "error")
    assert 'grant usage on schema "farm" to "analyst"' in errors["raw schema"]
    assert "grant create on database" in errors["rights"]
    assert 'grant select on "farm"."batch_batch" to' in texts(half_open, "error")["rights"]
    assert half_open.estimate is None
    assert 'grant usage, create on schema "anchorline_marts"' in texts(foreign, "error")["rights"]


def test_time_zone_that_the_server_does_not_know(url: str) -> None:
    assert (
        "Atlantic/Faeroes"
        in texts(examine(url, time_zone="Atlantic/Faeroes"), "error")["time zone"]
    )
    assert "near midnight" in texts(examine(url, time_zone="Atlantic/Faroe"), "note")["time zone"]


def test_missing_indexes(url: str, conn: Connection) -> None:
    raw.create_raw_tables(conn, "public")
    conn.execute("alter table batch_species drop constraint batch_species_pkey")
    conn.execute(
        "do $$ declare name text; begin for name in select indexname from pg_indexes "
        "where tablename = 'inventory_feedingevent' and indexname like '%_idx' "
        "loop execute format('drop index %I', name); end loop; end $$"
    )
    assert texts(examine(url), "warning").keys() == {
        "index on batch_species (id)",
        "public.batch_batchcontainerassignment",
    }, "an index on a small table is not missed"

    conn.execute(
        "insert into inventory_feedingevent "
        "select n, '2024-01-01', '08:00', 1, 1, null, '', '', now(), now(), 1, 1, 1, 1, null, null "
        "from generate_series(1, 12000) as n"
    )
    conn.execute("analyze inventory_feedingevent")
    subjects = texts(examine(url), "warning")
    assert "index on inventory_feedingevent (batch_assignment_id), (batch_id), (container_id)" in (
        subjects
    )


def test_readings_in_partitions_are_counted_and_may_have_a_composite_key(
    url: str, conn: Connection
) -> None:
    raw.create_raw_tables(conn, "public")
    conn.execute(
        """
        alter table environmental_environmentalreading rename to template;
        create table environmental_environmentalreading (
            like template, primary key (id, reading_time)
        ) partition by range (reading_time);
        create table readings_2024 partition of environmental_environmentalreading
        for values from ('2024-01-01') to ('2025-01-01');
        insert into readings_2024
            (id, value, reading_time, is_manual, notes, created_at, parameter_id)
        select n, 8, '2024-05-01', false, '', now(), 1 from generate_series(1, 500) as n;
        analyze readings_2024;
        """
    )

    report = examine(url)

    readings = next(size for size in report.tables if size.table == doctor.READING_TABLE)
    assert readings.row_count == 500
    assert f"index on {doctor.READING_TABLE} (id)" not in texts(report, "warning")


def test_estimate_adds_up_the_lengths_of_assignments(url: str, conn: Connection) -> None:
    raw.create_raw_tables(conn, "public")
    conn.execute(
        "insert into batch_batch values (1, 'A', 'COMPLETED', '2024-01-01', null, '2024-02-01', "
        "'', now(), now(), 1, 1, 'STANDARD')"
    )
    conn.execute(
        "insert into batch_batchcontainerassignment "
        "(id, population_count, biomass_kg, assignment_date, is_active, notes, created_at, "
        "updated_at, batch_id, container_id, lifecycle_stage_id, departure_date) values "
        "(1, 0, 0, '2024-01-01', false, '', now(), now(), 1, 1, 1, '2024-01-11'), "
        "(2, 0, 0, '2024-01-11', false, '', now(), now(), 1, 2, 1, null)"
    )

    estimate = examine(url).estimate

    assert estimate is not None
    assert (estimate.assignment_count, estimate.state_count) == (2, 10 + 21)
    assert estimate.seconds == doctor.build_seconds(31, 0, 0)


def test_estimate_is_what_was_measured() -> None:
    assert doctor.build_seconds(13_000, 79_000, 36_000) == pytest.approx(38, rel=0.15)
    assert doctor.build_seconds(69_000, 450_000, 75_000) == pytest.approx(42, rel=0.15)
    assert doctor.build_seconds(1_250_000, 0, 3_300_000) == pytest.approx(95, rel=0.15)


def test_command(url: str, conn: Connection, use_database: Callable[[str], None]) -> None:
    use_database(url)
    sick = CliRunner().invoke(main, ["doctor", "--target", "prod"])
    raw.create_raw_tables(conn, "public")
    well = CliRunner().invoke(main, ["doctor", "--target", "prod", "--json"])
    shown = (
        CliRunner()
        .invoke(main, ["doctor", "--target", "prod", "--timezone", "Atlantic/Faroe"])
        .stdout
    )

    assert sick.exit_code == 1
    assert "Not ready" in sick.stdout
    assert well.exit_code == 0, well.output
    assert json.loads(well.stdout)["is_ready"]
    assert "Ready: `dbt build --target prod --vars '{timezone: Atlantic/Faroe}'`" in shown
    assert "if the farm counts otherwise, look with --timezone NAME" in " ".join(shown.split())
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_duration_reads_well() -> None:
    assert duration(4) == "10 seconds"
    assert duration(62) == "60 seconds"
    assert duration(150) == "2 minutes"
    assert duration(9000) == "2.5 hours"
