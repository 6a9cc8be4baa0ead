"""The demo farm: same parameters, same farm; every case is in it; its truth is closed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from anchorline.cli import main
from anchorline.demo import FarmParameters, load_farm, loaded_farm
from anchorline.demo.cases import CASES, READING_CASES
from anchorline.demo.trouble import MISSING_ID
from anchorline.demo.writing import Writer
from anchorline.errors import AnchorlineError
from anchorline.raw import schema as raw

Connection = psycopg.Connection[Any]

AS_OF = date(2026, 3, 31)
SMALL: dict[str, Any] = {"batches": 2, "as_of": AS_OF}
TRUTH_TABLES = ("daily_states", "movements", "cases")
READING_TABLE = "environmental_environmentalreading"


@pytest.fixture(scope="module")
def farm(make_database: Callable[[], str]) -> Iterator[Connection]:
    """A connection to the default farm; tests must leave it as it is."""
    with psycopg.connect(make_database(), autocommit=True) as connection:
        load_farm(connection, as_of=AS_OF)
        yield connection


@pytest.fixture(scope="module")
def small_farm(make_database: Callable[[], str]) -> Iterator[Connection]:
    """A connection to a farm of two batches; tests must leave it as it is."""
    with psycopg.connect(make_database(), autocommit=True) as connection:
        load_farm(connection, **SMALL)
        yield connection


@pytest.fixture
def conn(make_database: Callable[[], str]) -> Iterator[Connection]:
    """A connection to an empty database."""
    with psycopg.connect(make_database(), autocommit=True) as connection:
        yield connection


def rows(conn: Connection, query: str, *parameters: object) -> list[Any]:
    return conn.execute(query.encode(), parameters or None).fetchall()


def number(conn: Connection, query: str) -> Any:
    return rows(conn, query)[0][0]


def row_count(conn: Connection, table: str, schema: str = "public") -> int:
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))
    row = conn.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def digests(conn: Connection, raw_schema: str = "public") -> dict[str, str]:
    """Hash every table of the farm as it is stored, byte for byte."""
    names = [(raw_schema, table) for table in raw.RAW_TABLES]
    names += [("demo_truth", table) for table in TRUTH_TABLES]
    names += [("anchorline_ops", table) for table in ("manual_anchors", "anchor_exclusions")]
    found = {}
    for schema, table in names:
        digest = hashlib.sha256()
        statement = sql.SQL("copy {} to stdout").format(sql.Identifier(schema, table))
        with conn.cursor() as cursor, cursor.copy(statement) as copy:
            for chunk in copy:
                digest.update(chunk)
        found[table] = digest.hexdigest()
    return found


# The same parameters make the same farm


def test_same_parameters_make_the_same_farm(small_farm: Connection, conn: Connection) -> None:
    load_farm(conn, **SMALL)
    assert digests(conn) == digests(small_farm)


def test_replaced_farm_is_like_a_new_one(small_farm: Connection, conn: Connection) -> None:
    load_farm(conn, batches=1, as_of=AS_OF, seed=7, readings=False)
    load_farm(conn, **SMALL, replace=True)
    assert digests(conn) == digests(small_farm)
    assert number(conn, "select count(*) from pg_constraint where contype = 'f'") == number(
        small_farm, "select count(*) from pg_constraint where contype = 'f'"
    )


def test_farm_without_readings_is_else_the_same(small_farm: Connection, conn: Connection) -> None:
    load_farm(conn, **SMALL, readings=False)
    with_readings = digests(small_farm)
    differing = {table for table, digest in digests(conn).items() if digest != with_readings[table]}
    assert differing == {READING_TABLE, "cases"}
    assert row_count(conn, READING_TABLE) == 0
    query = "select distinct case_name from demo_truth.cases"
    missing = set(rows(small_farm, query)) - set(rows(conn, query))
    assert {name for (name,) in missing} == READING_CASES


def test_sensors_measure_as_often_as_is_asked(conn: Connection) -> None:
    """Once a day it is the day's mean, and the rest of the farm is the same."""
    load_farm(conn, batches=1, as_of=AS_OF, readings_per_day=1)
    by_day = (
        "select mode() within group (order by count) from (select count(*) as count "
        "from environmental_environmentalreading "
        "where sensor_id is not null group by container_id, reading_time::date) as days"
    )
    assert number(conn, by_day) == 1
    known = loaded_farm(conn)
    assert known is not None
    assert known.readings_per_day == 1
    with pytest.raises(AnchorlineError, match="another demo farm"):
        load_farm(conn, batches=1, as_of=AS_OF)
    load_farm(conn, batches=1, as_of=AS_OF, readings_per_day=12, replace=True)
    assert number(conn, by_day) == 12


def test_another_seed_makes_another_farm(small_farm: Connection, conn: Connection) -> None:
    load_farm(conn, **SMALL, readings=False, seed=2)
    assert digests(conn)["daily_states"] != digests(small_farm)["daily_states"]


# Every case is in it


def test_default_farm_shows_every_case(farm: Connection) -> None:
    shown = {name for (name,) in rows(farm, "select distinct case_name from demo_truth.cases")}
    assert shown == set(CASES)


def test_small_farms_show_the_cases_of_one_batch(small_farm: Connection, conn: Connection) -> None:
    query = "select distinct case_name from demo_truth.cases"
    in_two = {name for (name,) in rows(small_farm, query)}
    load_farm(conn, batches=1, as_of=AS_OF)
    in_one = {name for (name,) in rows(conn, query)}
    # nothing is planned for fish at sea, and one batch keeps its books in one way
    assert set(CASES) - in_two <= {"transfer_pending", "full_harvest"}
    assert set(CASES) - in_one <= {
        "transfer_pending",
        "transfer_between_batches",
        "mixed_batch",
        "population_count_lowered",
        "full_harvest",
        "not_pinned",
        "eggs_from_outside",
    }


def test_cases_name_records_that_exist(farm: Connection) -> None:
    cases: dict[str, list[int]] = {}
    for table, record_id in rows(farm, "select table_name, record_id from demo_truth.cases"):
        cases.setdefault(table, []).append(record_id)
    for table, record_ids in cases.items():
        schema, _, name = table.rpartition(".")
        if schema:
            key = "manual_anchor_id"
        else:
            schema, key = "public", raw.RAW_TABLES[name].primary_key
        query = sql.SQL("select count(*) from {} where {} = any(%s)").format(
            sql.Identifier(schema, name), sql.Identifier(key)
        )
        row = farm.execute(query, (record_ids,)).fetchone()
        assert row == (len(set(record_ids)),), table


def test_sensors_have_gaps_of_every_length(farm: Connection) -> None:
    lengths = rows(
        farm,
        """
        with measured as (
            select
                readings.container_id,
                reading_time::date - lag(reading_time::date) over (
                    partition by readings.container_id order by reading_time
                ) - 1 as gap_days
            from environmental_environmentalreading as readings
            inner join batch_batchcontainerassignment as assignments
                on
                    readings.container_id = assignments.container_id
                    and readings.reading_time::date
                    between assignments.assignment_date and assignments.departure_date - 1
            inner join demo_truth.cases
                on
                    assignments.id = cases.record_id
                    and cases.case_name = 'sensor_gap'
            where parameter_id in (4, 8)
        )

        select distinct gap_days from measured where gap_days between 1 and 20
        """,
    )
    assert {length for (length,) in lengths} >= set(range(1, 21))


def test_bad_rows_point_to_records_that_are_not_there(farm: Connection) -> None:
    for table, column in (
        ("batch_transferaction", "source_assignment_id"),
        ("batch_batchcontainerassignment", "lifecycle_stage_id"),
        ("scenario", "tgc_model_id"),
    ):
        query = sql.SQL("select count(*) from {} where {} = %s").format(
            sql.Identifier(table), sql.Identifier(column)
        )
        assert farm.execute(query, (MISSING_ID,)).fetchone() == (1,)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):  # new rows are checked again
        farm.execute("update batch_batch set species_id = 999 where id = 1")


def test_default_farm_is_small_enough_to_build_in_a_minute(farm: Connection) -> None:
    assert 60_000 < row_count(farm, "daily_states", "demo_truth") < 80_000
    assert row_count(farm, READING_TABLE) < 400_000


# Its truth is closed


@pytest.mark.parametrize("size", ["farm", "small_farm"])
def test_every_true_row_adds_up(size: str, request: pytest.FixtureRequest) -> None:
    conn = request.getfixturevalue(size)
    broken = number(
        conn,
        """
        with states as (
            select
                *,
                coalesce(
                    lag(population) over (partition by assignment_id order by state_date), 0
                ) as population_before
            from demo_truth.daily_states
        )

        select count(*)
        from states
        where
            population
            <> population_before + arrived_count - departed_count - mortality_count
            or population < 0
            or weight_g <= 0
        """,
    )
    assert broken == 0


@pytest.mark.parametrize("size", ["farm", "small_farm"])
def test_no_fish_is_lost(size: str, request: pytest.FixtureRequest) -> None:
    conn = request.getfixturevalue(size)
    stocked = number(
        conn,
        "select sum(fish_count) from demo_truth.movements where movement_type = 'stocking'",
    )
    gone = number(
        conn,
        """
        select
            (select sum(mortality_count) from demo_truth.daily_states)
            + sum(fish_count)
        from demo_truth.movements
        where movement_type in ('deaths', 'transfer_mortality', 'harvest')
        """,
    )
    living = number(
        conn,
        """
        select sum(population)
        from (
            select distinct on (states.assignment_id) states.population, departure_date
            from demo_truth.daily_states as states
            inner join batch_batchcontainerassignment as assignments
                on states.assignment_id = assignments.id
            order by states.assignment_id, state_date desc
        ) as newest
        where departure_date is null
        """,
    )
    assert stocked == gone + living


def test_what_departs_is_what_was_there(farm: Connection) -> None:
    differing = rows(
        farm,
        """
        with left_on_departure as (
            select assignments.id as assignment_id, sum(fish_count) as fish_count
            from batch_batchcontainerassignment as assignments
            inner join demo_truth.movements
                on
                    assignments.id = movements.from_assignment_id
                    and assignments.departure_date = movements.movement_date
            where assignments.departure_date > assignments.assignment_date
            group by assignments.id
        )

        select assignment_id, states.population, left_on_departure.fish_count
        from left_on_departure
        inner join batch_batchcontainerassignment as assignments
            on left_on_departure.assignment_id = assignments.id
        inner join demo_truth.daily_states as states using (assignment_id)
        where
            states.state_date = assignments.departure_date - 1
            and states.population <> left_on_departure.fish_count
        """,
    )
    assert differing == []


def test_truth_has_every_active_day_and_no_other(farm: Connection) -> None:
    differing = rows(
        farm,
        """
        with last_days as (
            select
                assignments.id as assignment_id,
                assignments.assignment_date,
                least(
                    coalesce(
                        assignments.departure_date - 1,
                        case
                            when not assignments.is_active
                                then max(harvests.event_date)::date
                        end,
                        %s::date
                    ),
                    %s::date
                ) as last_date
            from batch_batchcontainerassignment as assignments
            left join harvest_harvestevent as harvests on assignments.id = harvests.assignment_id
            where
                assignments.notes <> 'Entered by mistake'
                and assignments.notes <> 'A circle of transfers'
            group by assignments.id
        ),

        active as (
            select last_days.assignment_id, days.day::date as state_date
            from last_days
            cross join lateral generate_series(
                last_days.assignment_date, last_days.last_date, interval '1 day'
            ) as days (day)
        )

        select active.assignment_id, states.assignment_id, count(*)
        from active
        full join demo_truth.daily_states as states
            on
                active.assignment_id = states.assignment_id
                and active.state_date = states.state_date
        where active.assignment_id is null or states.assignment_id is null
        group by active.assignment_id, states.assignment_id
        """,
        AS_OF,
        AS_OF,
    )
    assert differing == []


def test_containers_hold_one_batch_at_a_time(farm: Connection) -> None:
    shared = rows(
        farm,
        """
        select first.container_id
        from demo_truth.daily_states as first_states
        inner join batch_batchcontainerassignment as first on first_states.assignment_id = first.id
        group by first.container_id, first_states.state_date
        having count(*) > 1
        """,
    )
    assert shared == []


def test_observations_are_near_the_truth(farm: Connection) -> None:
    weight, temp = rows(
        farm,
        """
        select
            (
                select avg(samples.avg_weight_g / states.weight_g)
                from batch_growthsample as samples
                inner join demo_truth.daily_states as states
                    on
                        samples.assignment_id = states.assignment_id
                        and samples.sample_date = states.state_date
                where samples.avg_weight_g between 1 and 10000
            ) as weight_ratio,
            (
                select avg(readings.value - states.temp_c)
                from environmental_environmentalreading as readings
                inner join demo_truth.daily_states as states
                    on
                        readings.batch_container_assignment_id = states.assignment_id
                        and readings.reading_time::date = states.state_date
                where readings.parameter_id in (4, 8) and readings.value between -2 and 30
            ) as temp_difference_c
        """,
    )[0]
    assert weight == pytest.approx(1.0, abs=0.01)
    assert temp == pytest.approx(0.0, abs=0.02)


# It goes in whole, and only where it may


def test_no_batches_make_empty_tables(conn: Connection) -> None:
    report = load_farm(conn, batches=0, as_of=AS_OF)
    assert report.is_new
    assert raw.existing_tables(conn, "public") == list(raw.RAW_TABLES)
    for table in raw.RAW_TABLES:
        assert row_count(conn, table) == 0
    for table in TRUTH_TABLES:
        assert row_count(conn, table, "demo_truth") == 0
    assert load_farm(conn, **SMALL, readings=False).is_new  # empty tables can be filled


def test_same_farm_is_left_as_it_is(small_farm: Connection) -> None:
    before = digests(small_farm)
    report = load_farm(small_farm, **SMALL)
    assert not report.is_new
    assert digests(small_farm) == before


def test_another_farm_needs_replace(small_farm: Connection) -> None:
    with pytest.raises(AnchorlineError, match=r"another demo farm: 2 batches .*--replace"):
        load_farm(small_farm, batches=3, as_of=AS_OF)
    assert loaded_farm(small_farm) == FarmParameters("public", 2, AS_OF, 1, True, 1)


def test_other_rows_are_never_touched(conn: Connection) -> None:
    raw.create_raw_tables(conn, "public")
    conn.execute(
        "insert into infrastructure_geography (name, description, created_at, updated_at) "
        "values ('Mine', '', now(), now())"
    )
    for replace in (False, True):
        with pytest.raises(AnchorlineError, match="not those of a demo farm, in infrastructure"):
            load_farm(conn, **SMALL, replace=replace)
    assert row_count(conn, "infrastructure_geography") == 1
    load_farm(conn, **SMALL, readings=False, raw_schema='Demo "raw"')
    assert row_count(conn, "batch_batch", 'Demo "raw"') == 4


def test_all_or_nothing(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Writer, *_: object) -> None:
        raise RuntimeError("the power is gone")

    monkeypatch.setattr(Writer, "flush", fail)
    with pytest.raises(RuntimeError):
        load_farm(conn, **SMALL)
    assert raw.existing_tables(conn, "public") == []
    assert loaded_farm(conn) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batches": -1}, "-1 batches"),
        ({"batches": 5_001}, "5001 batches"),
        ({"seed": -1}, "seed is -1"),
        ({"as_of": date(1901, 1, 1)}, "1901-01-01"),
    ],
)
def test_parameters_are_checked(conn: Connection, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(AnchorlineError, match=message):
        load_farm(conn, **{**SMALL, **wrong})


def test_progress_ends_with_all_batches(conn: Connection) -> None:
    told: list[tuple[int, int, str]] = []
    load_farm(
        conn, batches=3, as_of=AS_OF, readings=False, progress=lambda *step: told.append(step)
    )
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][:2] == (3, 3)


def test_command_loads_and_then_leaves_alone(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    use_database(make_database())
    command = ["demo", "load", "--target", "prod", "--batches", "1", "--as-of", str(AS_OF)]
    first = CliRunner().invoke(main, [*command, "--without-readings"])
    assert first.exit_code == 0, first.output
    assert f"1 batch as of {AS_OF} with seed 1, without readings" in first.stderr
    second = CliRunner().invoke(main, [*command, "--without-readings"])
    assert second.exit_code == 0
    assert "is there already" in second.stderr
    other = CliRunner().invoke(main, [*command, "--seed", "2"])
    assert other.exit_code == 1
    assert "--replace" in other.stderr
