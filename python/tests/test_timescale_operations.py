"""What an administrator does with TimescaleDB, on a server that has it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from anchorline.build import dbt_build
from anchorline.cli import main
from anchorline.raw.schema import create_raw_tables
from anchorline.timescale import readings, weekly

pytest_plugins = ("timescale_server",)

Connection = psycopg.Connection[Any]
MakeDatabase = Callable[[], str]
Use = Callable[[str], None]

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "timescaledb.md"
READING_COUNT: Final = 240
KEY: Final = "environmental_environmentalreading_pkey"


def db(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["db", *arguments, "--target", "prod"])


def convert(*arguments: str) -> Result:
    return db("readings-hypertable", *arguments)


def load_readings(url: str) -> None:
    """Ten days of hourly readings in one container, with all that they refer to."""
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "public")
        for statement in (
            "insert into infrastructure_containertype (id, name, category, max_volume_m3, "
            "description, created_at, updated_at) values (1, 'pen', 'PEN', 1, '', now(), now())",
            "insert into infrastructure_container (id, name, container_type_id, volume_m3, "
            "max_biomass_kg, active, created_at, updated_at, feed_recommendations_enabled, "
            "hierarchy_role) values (7, 'A1', 1, 1, 1, true, now(), now(), false, 'STANDALONE')",
            "insert into environmental_environmentalparameter (id, name, unit, description, "
            "created_at, updated_at) values (3, 'Temperature', 'C', '', now(), now())",
            "insert into environmental_environmentalreading (value, reading_time, is_manual, "
            "notes, created_at, container_id, parameter_id) "
            "select 8 + n / 100.0, timestamptz '2026-01-01 00:00+00' + n * interval '1 hour', "
            "false, '', now(), 7, 3 from generate_series(1, 240) as n",
            "alter table environmental_environmentalreading "
            "add foreign key (container_id) references infrastructure_container (id), "
            "add foreign key (parameter_id) references environmental_environmentalparameter (id)",
            "analyze environmental_environmentalreading",
        ):
            connection.execute(statement.encode())


@pytest.fixture
def farm(make_timescale_database: MakeDatabase, use_database: Use) -> str:
    url = make_timescale_database()
    load_readings(url)
    use_database(url)
    return url


@pytest.fixture
def connection(farm: str) -> Iterator[Connection]:
    with psycopg.connect(farm, autocommit=True) as connection:
        yield connection


def one(connection: Connection, query: str, *values: object) -> Any:
    row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row[0]


def fingerprint(connection: Connection) -> Any:
    return one(
        connection,
        "select md5(string_agg(readings::text, ';' order by id)) "
        "from environmental_environmentalreading as readings",
    )


def key(connection: Connection) -> Any:
    return one(
        connection, "select pg_get_constraintdef(oid) from pg_constraint where conname = %s", KEY
    )


def is_hypertable(connection: Connection) -> bool:
    return bool(one(connection, "select count(*) from timescaledb_information.hypertables"))


def foreign_keys(connection: Connection) -> Any:
    return one(
        connection,
        "select array_agg(pg_get_constraintdef(oid) order by oid) from pg_constraint where contype "
        "= 'f' and conrelid = 'environmental_environmentalreading'::regclass",
    )


# -- the readings ----------------------------------------------------------------------------------


def test_readings_become_a_hypertable_and_stay_the_same(connection: Connection) -> None:
    connection.execute(
        "create view latest as select max(id) as id from environmental_environmentalreading"
    )
    connection.execute("grant select on environmental_environmentalreading to pg_monitor")
    before = (fingerprint(connection), foreign_keys(connection))
    result = convert("--chunk-days", "3")
    assert result.exit_code == 0, result.output
    assert "about 240 rows" in result.stderr
    assert is_hypertable(connection)
    assert (fingerprint(connection), foreign_keys(connection)) == before
    assert key(connection) == "PRIMARY KEY (id, reading_time)"
    chunks = one(connection, "select num_chunks from timescaledb_information.hypertables")
    assert 4 <= chunks <= 5
    assert one(connection, "select count(*) from only environmental_environmentalreading") == 0
    assert one(connection, "select id from latest") == READING_COUNT
    assert one(
        connection,
        "select has_table_privilege('pg_monitor', 'environmental_environmentalreading', 'select')",
    )
    again = convert("--chunk-days", "3")
    assert again.exit_code == 0, again.output
    assert "Nothing to do" in again.stderr
    assert convert("--dry-run").stdout == "-- nothing to do\n"


def test_readings_are_written_as_before(connection: Connection) -> None:
    assert convert().exit_code == 0
    new = one(
        connection,
        "insert into environmental_environmentalreading (value, reading_time, is_manual, notes, "
        "created_at, container_id, parameter_id) values (9, now(), false, '', now(), 7, 3) "
        "returning id",
    )
    assert new == READING_COUNT + 1
    connection.execute(
        "update environmental_environmentalreading set value = 10 where id = %s", (new,)
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(
            "update environmental_environmentalreading set container_id = 8 where id = %s", (new,)
        )
    connection.execute("delete from environmental_environmentalreading where id = %s", (new,))
    assert one(connection, "select max(id) from environmental_environmentalreading") == new - 1


def test_dry_run_prints_the_whole_of_it(connection: Connection) -> None:
    result = convert("--dry-run")
    assert result.exit_code == 0, result.output
    assert not is_hypertable(connection)
    assert key(connection) == "PRIMARY KEY (id)"
    before = fingerprint(connection)
    connection.execute(result.stdout.encode())
    assert is_hypertable(connection)
    assert fingerprint(connection) == before


def test_migrations_of_the_operational_system_go_through(connection: Connection) -> None:
    """Those that it makes the hypertable with, before ours and after."""
    statements = (
        f"alter table environmental_environmentalreading drop constraint if exists {KEY}",
        f"alter table environmental_environmentalreading add constraint {KEY} "
        "primary key (id, reading_time)",
        "select create_hypertable('environmental_environmentalreading', 'reading_time', "
        "if_not_exists => true, migrate_data => true)",
        "alter table environmental_environmentalreading set (timescaledb.compress, "
        "timescaledb.compress_segmentby = 'container_id,parameter_id')",
        "select add_compression_policy('environmental_environmentalreading', interval '7 days', "
        "if_not_exists => true)",
    )
    before = fingerprint(connection)
    for statement in statements[:2]:
        connection.execute(statement.encode())
    result = convert()  # its key is there already
    assert result.exit_code == 0, result.output
    for statement in statements:
        connection.execute(statement.encode())
    assert fingerprint(connection) == before
    assert "Nothing to do" in convert().stderr


def test_what_the_docs_say_takes_it_back(connection: Connection) -> None:
    before = fingerprint(connection)
    assert convert().exit_code == 0
    block = re.search(r"```sql\n(begin;\n.*?commit;\n)```", DOCS.read_text(), re.DOTALL)
    assert block is not None
    connection.execute(block[1].encode())
    assert not is_hypertable(connection)
    assert fingerprint(connection) == before
    assert key(connection) == "PRIMARY KEY (id)"
    assert len(foreign_keys(connection)) == 4
    assert (
        one(
            connection,
            "select nextval(pg_get_serial_sequence('environmental_environmentalreading', 'id'))",
        )
        == READING_COUNT + 1
    )
    assert convert().exit_code == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "create table alarms (reading_id bigint constraint alarm_of_reading "
            "references environmental_environmentalreading)",
            "alarm_of_reading of public.alarms",
        ),
        (
            "create unique index one_at_a_time on environmental_environmentalreading "
            "(container_id, id) include (reading_time)",
            "without reading_time: one_at_a_time",
        ),
        (
            "alter table environmental_environmentalreading alter column reading_time "
            "drop not null; update environmental_environmentalreading set reading_time = null "
            "where id = 5",
            "have no reading_time",
        ),
        (
            "alter table environmental_environmentalreading alter column reading_time "
            "type text using reading_time::text",
            "reading_time is text, expected timestamp with time zone",
        ),
        (
            "alter table environmental_environmentalreading rename to readings_of_old; create view "
            "environmental_environmentalreading as select * from readings_of_old",
            "is not a table of its own",
        ),
        ("drop table environmental_environmentalreading", "There is no table"),
        ("drop extension timescaledb", "`create extension timescaledb` first"),
        (
            # what looks for one id may be a view that groups by the key
            "create view by_key as select id, value from environmental_environmentalreading "
            "group by id",
            "depends on the primary key",
        ),
    ],
)
def test_what_cannot_become_one_is_refused(
    connection: Connection, change: str, message: str
) -> None:
    connection.execute(change.encode())
    before = one(connection, "select count(*) from pg_constraint")
    result = convert()
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert one(connection, "select count(*) from pg_constraint") == before


def test_only_the_owner_may(connection: Connection, farm: str, use_database: Use) -> None:
    role = f"stranger_{one(connection, 'select current_database()')}"
    password = secrets.token_urlsafe()
    connection.execute(
        sql.SQL("create role {} login password {}").format(
            sql.Identifier(role), sql.Literal(password)
        )
    )
    try:
        use_database(psycopg.conninfo.make_conninfo(farm, user=role, password=password))
        result = convert()
        assert result.exit_code == 1
        owner = one(connection, "select current_user")
        assert f"belongs to {owner}; the role {role} may not change it" in result.stderr
        # who owns the tables needs no superuser's rights
        schema = sql.SQL("grant all on schema public to {}").format(sql.Identifier(role))
        connection.execute(schema)
        for (name,) in connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall():
            connection.execute(
                sql.SQL("alter table {} owner to {}").format(
                    sql.Identifier(name), sql.Identifier(role)
                )
            )
        result = convert()
        assert result.exit_code == 0, result.output
        assert one(connection, "select owner from timescaledb_information.hypertables") == role
    finally:
        connection.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(role)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


@pytest.mark.parametrize(
    "table", ["environmental_environmentalreading", "infrastructure_container"]
)
def test_table_in_use_is_not_waited_for_in_line(
    connection: Connection, farm: str, table: str
) -> None:
    with psycopg.connect(farm) as writer:
        writer.execute(sql.SQL("update {} set id = id where id = 7").format(sql.Identifier(table)))
        result = convert("--wait", "0")
        assert result.exit_code == 1
        assert "is in use, and stayed so for 0 s; nothing was changed" in result.stderr
        assert not is_hypertable(connection)
        # nothing is left behind that others would wait for
        connection.execute("set lock_timeout = '1s'")
        connection.execute("update environmental_environmentalreading set notes = 'x' where id = 9")
    assert convert("--wait", "0").exit_code == 0


def test_apache_edition_has_hypertables_and_nothing_more(
    make_apache_database: MakeDatabase, use_database: Use
) -> None:
    url = make_apache_database()
    load_readings(url)
    use_database(url)
    assert convert().exit_code == 0
    found = json.loads(db("info", "--json").stdout)
    assert found["extension"]["edition"] == "apache"
    (hypertable,) = found["hypertables"]
    assert hypertable["chunk_count"] >= 2
    assert hypertable["compressed_chunk_count"] == 0
    assert (hypertable["can_compress"], hypertable["saved_percent"]) == (False, None)
    assert found["policies"] == found["continuous_aggregates"] == []
    assert "apache edition" in db("info").stdout
    result = db("weekly-aggregates")
    assert result.exit_code == 1
    assert "the Apache edition, which has no continuous aggregates" in result.stderr


# -- daily states ----------------------------------------------------------------------------------

STATES: Final = """
    create schema anchorline_marts;
    create table anchorline_marts.daily_assignment_states (
        assignment_id bigint not null,
        batch_id bigint not null,
        container_id bigint not null,
        state_date date not null,
        avg_weight_g numeric(12, 4),
        population bigint not null,
        biomass_kg numeric(14, 2),
        temp_c numeric(5, 2),
        mortality_count bigint,
        feed_kg numeric(14, 4),
        gain_kg numeric(14, 4),
        arrived_count bigint,
        departed_count bigint,
        count_adjustment bigint,
        anchor_type text,
        weight_confidence double precision,
        is_provisional boolean
    );
    select create_hypertable(
        'anchorline_marts.daily_assignment_states',
        by_range('state_date', interval '91 days'),
        create_default_indexes => false
    );
    alter table anchorline_marts.daily_assignment_states set (
        timescaledb.compress,
        timescaledb.compress_segmentby = 'batch_id',
        timescaledb.compress_orderby = 'assignment_id, state_date desc'
    );
    insert into anchorline_marts.daily_assignment_states
    select
        assignment_id,
        1,
        assignment_id,
        '2025-01-01'::date + day,
        -- assignment 1 has 100 fish of 10 g and more, assignment 2 has 300 of twice that
        assignment_id * (10 + day),
        case assignment_id when 1 then 100 else 300 end,
        1,
        case when assignment_id = 1 then 8 end,
        1,
        case when day % 2 = 0 then 0.5 end,
        0.25,
        0,
        0,
        0,
        case when day = 5 then 'growth_sample' end,
        0.6,
        false
    from generate_series(1, 2) as assignment_id, generate_series(0, 199) as day;
    -- not at once: a background worker would come between the tests' own steps
    select add_compression_policy(
        'anchorline_marts.daily_assignment_states',
        interval '30 days',
        initial_start => now() + interval '1 day'
    );
"""


@pytest.fixture
def states(make_timescale_database: MakeDatabase, use_database: Use) -> Iterator[Connection]:
    url = make_timescale_database()
    use_database(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(STATES.encode())
        yield connection


def test_info_follows_compression_and_changes(states: Connection) -> None:
    states.execute(
        "select compress_chunk(chunk) from show_chunks("
        "'anchorline_marts.daily_assignment_states', older_than => date '2025-06-01'"
        ") as chunk"
    )
    states.execute("analyze anchorline_marts.daily_assignment_states")

    def hypertable() -> dict[str, Any]:
        (found,) = json.loads(db("info", "--json").stdout)["hypertables"]
        assert isinstance(found, dict)
        return found

    found = hypertable()
    compressed = one(
        states,
        "select count(*) from timescaledb_information.chunks where is_compressed",
    )
    assert found["compressed_chunk_count"] == compressed
    assert 1 <= compressed < found["chunk_count"] == 3
    limit = one(
        states,
        "select max(range_end)::date from timescaledb_information.chunks where is_compressed",
    )
    inside = one(
        states,
        "select count(*) from anchorline_marts.daily_assignment_states where state_date < %s",
        limit,
    )
    assert (found["row_count"], found["compressed_row_count"]) == (400, inside)
    assert found["bytes_before"] > 0
    assert found["total_bytes"] == one(
        states, "select hypertable_size('anchorline_marts.daily_assignment_states')"
    )
    assert found["partial_chunk_count"] == 0
    states.execute(
        "update anchorline_marts.daily_assignment_states set gain_kg = 1 "
        "where state_date = '2025-01-05' and assignment_id = 1"
    )
    assert hypertable()["partial_chunk_count"] == 1
    (policy,) = json.loads(db("info", "--json").stdout)["policies"]
    assert policy["kind"] == "compression"
    assert policy["table"] == "anchorline_marts.daily_assignment_states"
    assert policy["config"]["compress_after"] == "30 days"
    assert "compression of anchorline_marts.daily_assignment_states" in db("info").stdout


def test_weekly_aggregates_are_made_followed_and_removed(states: Connection) -> None:
    printed = db("weekly-aggregates", "--dry-run")
    assert printed.exit_code == 0, printed.output
    assert "create materialized view" in printed.stdout
    aggregates = "select count(*) from timescaledb_information.continuous_aggregates"
    assert one(states, aggregates) == 0
    result = db("weekly-aggregates")
    assert result.exit_code == 0, result.output
    assert one(states, aggregates) == 2
    assert "Nothing to do" in db("weekly-aggregates").stderr

    # the week of Monday 6 January: days 5 to 11
    row = states.execute(
        "select days_covered, last_state_date::text, avg_weight_g, population, mortality_count, "
        "feed_kg, days_with_feed, gain_kg, anchor_count from anchorline_marts."
        "daily_assignment_weekly where week_start_date = '2025-01-06' and assignment_id = 2"
    ).fetchone()
    assert row is not None
    assert [str(value) for value in row] == [
        "7",
        "2025-01-12",
        "42.0000",
        "300",
        "7",
        "1.5000",
        "3",
        "1.7500",
        "1",
    ]
    row = states.execute(
        "select days_covered, assignment_count, avg_weight_g, avg_population, avg_biomass_kg, "
        "temp_c, feed_kg, anchor_count from anchorline_marts.daily_batch_weekly "
        "where week_start_date = '2025-01-06'"
    ).fetchone()
    assert row is not None
    # the mean of days 5 to 11 is that of day 8: (100 * 18 + 300 * 36) / 400
    assert [str(value) for value in row] == [
        "7",
        "2",
        "31.5000",
        "400.0",
        "2.00",
        "8.00",
        "3.0000",
        "2",
    ]

    policies = json.loads(db("info", "--json").stdout)["policies"]
    assert [policy["kind"] for policy in policies] == [
        "compression",
        "refresh_continuous_aggregate",
        "refresh_continuous_aggregate",
    ]
    for name in weekly.NAMES:
        aggregate = f"anchorline_marts.{name}"
        # its worker has begun at once, and would come between the steps of this test
        states.execute("select remove_continuous_aggregate_policy(%s)", (aggregate,))
        states.execute("call refresh_continuous_aggregate(%s, null, '2025-07-01')", (aggregate,))
    states.execute(
        "update anchorline_marts.daily_assignment_states set gain_kg = 2 "
        "where state_date = '2025-03-05'"
    )
    found = {
        entry["name"]: entry
        for entry in json.loads(db("info", "--json").stdout)["continuous_aggregates"]
    }
    assert set(found) == set(weekly.NAMES)
    aggregate = found["daily_assignment_weekly"]
    assert aggregate["source"] == "anchorline_marts.daily_assignment_states"
    assert aggregate["materialized_until"] >= "2025-06-30"
    assert {"first": "2025-03-05", "last": "2025-03-05"} in aggregate["waiting"]
    assert "daily_batch_weekly" in db("info").stdout

    assert db("weekly-aggregates", "--remove").exit_code == 0
    assert one(states, aggregates) == 0
    assert "Nothing to do" in db("weekly-aggregates", "--remove").stderr


def test_weekly_aggregates_want_the_daily_states(
    make_timescale_database: MakeDatabase, use_database: Use
) -> None:
    use_database(make_timescale_database())
    result = db("weekly-aggregates")
    assert result.exit_code == 1
    assert "There is no hypertable anchorline_marts.daily_assignment_states" in result.stderr
    assert "`dbt build --target prod`" in result.stderr


def test_plain_database_of_such_a_server_is_told_what_it_could_have(
    farm: str, use_database: Use
) -> None:
    with psycopg.connect(farm, autocommit=True) as connection:
        connection.execute("drop extension timescaledb")
    found = json.loads(db("info", "--json").stdout)
    assert found["extension"]["state"] == "available"
    assert found["hypertables"] == []
    assert "create extension timescaledb" in " ".join(db("info").stdout.split())
    assert readings.TABLE in {table["name"] for table in found["largest_tables"]}


def test_full_refresh_keeps_the_weekly_aggregates(
    make_timescale_database: MakeDatabase,
    use_database: Use,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = make_timescale_database()
    use_database(url)
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    monkeypatch.setenv("DBT_LOG_PATH", str(tmp_path / "logs"))
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "public")
    no_tests = ("--exclude-resource-type", "test", "unit_test")
    dbt_build("prod", arguments=no_tests)
    query = "select array_agg(oid order by relname) from pg_class where relname = any(%s)"
    with psycopg.connect(url, autocommit=True) as connection:
        assert db("weekly-aggregates").exit_code == 0
        first = one(connection, query, list(weekly.NAMES))
        assert len(first) == 2
        dbt_build(
            "prod",
            arguments=("--full-refresh", "--select", "daily_assignment_states", *no_tests),
        )
        second = one(connection, query, list(weekly.NAMES))
        assert len(second) == 2
        assert not set(first) & set(second)
        sources = one(
            connection,
            "select array_agg(distinct hypertable_name::text) "
            "from timescaledb_information.continuous_aggregates",
        )
        assert sources == ["daily_assignment_states"]
        assert "Nothing to do" in db("weekly-aggregates").stderr
        # none was wanted: none is made
        assert db("weekly-aggregates", "--remove").exit_code == 0
        dbt_build(
            "prod",
            arguments=("--full-refresh", "--select", "daily_assignment_states", *no_tests),
        )
        assert one(connection, query, list(weekly.NAMES)) is None
