"""With TimescaleDB all that is published is the same as on plain PostgreSQL, to the last bit.

A small demo farm, whose readings are a hypertable, is built and refreshed on a server that has the
extension, with compressed chunks and a continuous aggregate of the readings; its records are
built from nothing on the plain server of the other tests.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
import pytest
from psycopg import sql

from anchorline.demo import load_farm
from anchorline.refresh.temperatures import aggregate_readings
from anchorline.timescale import readings
from devtools.edits import KINDS, Edit, Editor, loosen, thin_out
from devtools.equality import FIRST_AS_OF, MODELS, DbtFailedError, limits_of
from devtools.storage_comparison import (
    Chunk,
    Farm,
    SharedDbt,
    chunks,
    compared_tables,
    compress,
    copy_records,
    differences,
)

pytest_plugins = ("timescale_server",)

Connection = psycopg.Connection[Any]
MakeDatabase = Callable[[], str]
OpenFarm = Callable[[str], Farm]

SEED: Final = 11
BATCHES: Final = 2
A_DAY: Final = timedelta(days=1)
VARIABLES: Final = {"as_of_date": FIRST_AS_OF.isoformat(), "timezone": "Pacific/Auckland"}
"""A day of this zone begins at noon, or an hour before it, of the day before in UTC."""

EDITS_PER_REFRESH: Final = 5
REFRESHES: Final = 6
OF_READINGS: Final = ("reading_insert", "reading_update", "reading_delete")
CHUNK_DAYS_OF_READINGS: Final = 60
KEPT_YEARS: Final = 5


# -- farms -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_farm(
    database_environment: Callable[[str], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OpenFarm]:
    """Open a database as a farm; it is closed after the tests."""
    shared_dbt = SharedDbt()
    opened: list[Farm] = []

    def open_one(url: str) -> Farm:
        folder = tmp_path_factory.mktemp("farm")
        environment = {
            **database_environment(url),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        }
        connection = psycopg.connect(url, autocommit=True)
        opened.append(Farm(connection, environment, dict(VARIABLES), shared_dbt))
        return opened[-1]

    logging.disable(logging.CRITICAL)
    try:
        yield open_one
    finally:
        logging.disable(logging.NOTSET)
        for farm in opened:
            farm.connection.close()
        shared_dbt.close()


@pytest.fixture(scope="module")
def plain(make_database: MakeDatabase, open_farm: OpenFarm) -> Farm:
    """An empty database of plain PostgreSQL."""
    return open_farm(make_database())


@pytest.fixture(scope="module")
def farm(make_timescale_database: MakeDatabase, open_farm: OpenFarm) -> Farm:
    """The demo farm on TimescaleDB: built by two runs, so that each has found what it asks for.

    The first one finds no extension, the second makes the hypertable and the aggregate.
    """
    url = make_timescale_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop extension timescaledb")
    with psycopg.connect(url) as connection:
        load_farm(connection, batches=BATCHES, as_of=FIRST_AS_OF, seed=SEED)
        loosen(connection)
        thin_out(connection)
    farm = open_farm(url)
    farm.dbt("build")
    kind = "select relkind from pg_class where oid = to_regclass(%s)"
    assert one(farm.connection, kind, "anchorline_marts.daily_assignment_states") == "r"
    # a session that knows it as absent cannot make it
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create extension timescaledb")
    farm.connection.close()
    farm.connection = psycopg.connect(url, autocommit=True)
    let_policies_wait(farm.connection)
    assert readings.convert(
        farm.connection, "public", chunk_days=CHUNK_DAYS_OF_READINGS, wait_seconds=10
    )
    farm.dbt("build")
    return farm


def let_policies_wait(connection: Connection) -> None:
    """Let policies run only when a test says so: their first runs are due at once."""
    connection.execute("select _timescaledb_functions.stop_background_workers()")


def one(connection: Connection, query: LiteralString, *values: object) -> Any:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None, f"no such row: {query}"
    return row[0] if len(row) == 1 else row


def assert_as_on_plain_postgresql(farm: Farm, plain: Farm, *said: str) -> None:
    """Build the farm's records from nothing on plain PostgreSQL, and compare all rows."""
    copy_records(farm, plain)
    plain.variables = dict(farm.variables)
    plain.dbt("build", "--full-refresh")
    assert_same_rows(farm, plain, *said)


def assert_same_rows(farm: Farm, plain: Farm, *said: str, least_states: int = 10_000) -> None:
    found = differences(farm, plain)
    assert not found, "\n".join([*said, *map(str, found)])
    rows = compared_tables(plain)
    assert len(rows) > 50
    assert rows["marts.daily_assignment_states"] >= least_states
    assert rows["intermediate.int_container_day_readings"] > 3_000


def is_hypertable(connection: Connection, schema: str, table: str) -> bool:
    return bool(
        one(
            connection,
            "select count(*) from timescaledb_information.hypertables "
            "where hypertable_schema = %s and hypertable_name = %s",
            schema,
            table,
        )
    )


EXPECTED_JOBS: Final = {
    ("policy_compression", "daily_assignment_states"): 1,
    ("policy_refresh_continuous_aggregate", "container_day_temperatures"): 1,
}


def jobs(connection: Connection) -> Counter[tuple[str, str]]:
    """Return the policies, by their kind and what they are for; not TimescaleDB's own jobs."""
    rows = connection.execute(
        """
        select proc_name::text, hypertable_name::text
        from timescaledb_information.jobs
        where hypertable_name is not null
        """
    )
    return Counter((kind, table) for kind, table in rows)


# -- the same rows ---------------------------------------------------------------------------------


def test_a_build_publishes_the_same_rows(farm: Farm, plain: Farm) -> None:
    """A plain table has become a hypertable, as the extension came later; an aggregate is new."""
    connection = farm.connection
    assert is_hypertable(connection, "anchorline_marts", "daily_assignment_states")
    assert jobs(connection) == EXPECTED_JOBS
    assert len(chunks(connection)) > 5
    assert not any(chunk.is_compressed for chunk in chunks(connection))
    assert_as_on_plain_postgresql(farm, plain)
    compress(connection)
    assert all(chunk.is_compressed and chunk.plain_bytes == 0 for chunk in chunks(connection))
    aggregate_all(farm)
    farm.dbt("build")
    assert_same_rows(farm, plain)


def test_settled_days_come_from_the_aggregate(farm: Farm) -> None:
    """What is read instead of the readings can be told by a value that no reading has."""
    connection = farm.connection
    aggregate_all(farm)
    materialized, container, day = one(
        connection,
        """
        select
            format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name),
            container_id,
            day_start
        from timescaledb_information.continuous_aggregates
        cross join lateral (
            select * from anchorline_intermediate.container_day_temperatures
            where reading_count > 0 order by day_start, container_id limit 1
        ) as first_day
        """,
    )

    def mean_in_the_model() -> Any:
        farm.dbt("run", "--select", "int_container_day_readings")
        return one(
            connection,
            """
            select mean_temp_c from anchorline_intermediate.int_container_day_readings
            where container_id = %s and reading_date = (%s at time zone 'Pacific/Auckland')::date
            """,
            container,
            day,
        )

    def warm(degrees: int) -> None:
        connection.execute(
            sql.SQL(
                "update {} set mean_temp_c = mean_temp_c + %s "
                "where container_id = %s and day_start = %s"
            ).format(sql.SQL(materialized)),
            (degrees, container, day),
        )

    before = mean_in_the_model()
    warm(1)
    try:
        assert mean_in_the_model() == before + 1
        # a reading in the same chunk of days makes the day stale: it is read from the readings
        connection.execute(
            "update environmental_environmentalreading set value = value "
            "where container_id = %s and reading_time >= %s "
            "and reading_time < %s + interval '1 day'",
            (container, day, day),
        )
        assert mean_in_the_model() == before
    finally:
        warm(-1)
        aggregate_all(farm)
    assert mean_in_the_model() == before


def test_refreshes_after_random_edits_publish_the_same_rows(farm: Farm, plain: Farm) -> None:
    """By turns limited and everything; compressed and aggregated again now and then."""
    rng = np.random.default_rng(SEED)
    editor = Editor(farm.connection, rng, FIRST_AS_OF)
    others = [str(kind) for kind in rng.permutation(np.array(KINDS)) if kind not in OF_READINGS]
    said = [f"seed {SEED}"]
    compress(farm.connection)
    for turn in range(1, REFRESHES + 1):
        kinds = [OF_READINGS[turn % 3], OF_READINGS[(turn + 1) % 3]]
        kinds += [others.pop() for _ in range(EDITS_PER_REFRESH - len(kinds))]
        edits: list[Edit] = [editor.edit(kind) for kind in kinds]
        said += map(str, edits)
        limits = limits_of(edits)
        is_scan = turn % 3 == 0 or limits is None
        if is_scan:
            # as people do who run dbt themselves; the aggregate stays behind
            farm.dbt("build")
        else:
            farm.dbt("run", "--select", MODELS, **(limits or {}))
        said.append(f"refreshed {'everything' if is_scan else limits}")
        if turn % 3 == 1:
            compress(farm.connection)
            said.append("compressed")
        if turn % 3 != 0:
            said.append(aggregate_some(farm, rng))
        if turn == REFRESHES // 2:
            assert_as_on_plain_postgresql(farm, plain, *said)
            # days of another length, for which the aggregate is made anew
            farm.variables["timezone"] = "Atlantic/Faroe"
            farm.dbt("build")
            said.append("other time zone")
    assert sum("everything" in text for text in said) >= 2, said
    assert sum("refresh_batches" in text for text in said) >= 2, said
    assert_as_on_plain_postgresql(farm, plain, *said)


def aggregate_all(farm: Farm) -> None:
    with farm.in_environment():
        assert aggregate_readings(farm.connection, "prod")


def aggregate_some(farm: Farm, rng: np.random.Generator) -> str:
    """Aggregate the readings of a part of the time; what changed elsewhere stays stale."""
    first = FIRST_AS_OF - timedelta(days=int(rng.integers(30, 700)))
    last = first + timedelta(days=int(rng.integers(10, 300)))
    farm.connection.execute(
        """
        call refresh_continuous_aggregate(
            'anchorline_intermediate.container_day_temperatures', %s::timestamptz, %s::timestamptz
        )
        """,
        (first.isoformat(), last.isoformat()),
    )
    return f"aggregated {first} to {last}"


def test_a_full_refresh_leaves_nothing_behind(farm: Farm, plain: Farm) -> None:
    connection = farm.connection
    farm.dbt("build", "--full-refresh")
    compress(connection)
    assert_as_on_plain_postgresql(farm, plain)
    assert jobs(connection) == EXPECTED_JOBS
    assert (
        one(connection, "select count(*) from timescaledb_information.continuous_aggregates") == 1
    )
    hypertables = connection.execute(
        """
        select
            id,
            compressed_hypertable_id,
            regexp_replace(table_name, '[0-9]+', 'N')
        from _timescaledb_catalog.hypertable
        """
    ).fetchall()
    compressed = [other for _, other, _ in hypertables if other is not None]
    assert Counter(name for _, _, name in hypertables) == {
        "daily_assignment_states": 1,
        "environmental_environmentalreading": 1,
        "_materialized_hypertable_N": 1,
        "_compressed_hypertable_N": 1,
    }
    assert len(compressed) == 1
    assert compressed[0] in {key for key, _, _ in hypertables}
    # tables without an entry in the catalog
    assert not connection.execute(
        """
        select relname from pg_class
        where
            relnamespace = '_timescaledb_internal'::regnamespace
            and relkind = 'r'
            and relname ~ '^(_hyper_|compress_hyper_|_materialized_hypertable_|_compressed_)'
            and relname not in (select table_name from _timescaledb_catalog.hypertable)
            and relname not in (select table_name from _timescaledb_catalog.chunk)
        """
    ).fetchall()
    assert not connection.execute(
        """
        select table_name from _timescaledb_catalog.chunk
        where hypertable_id not in (select id from _timescaledb_catalog.hypertable)
        """
    ).fetchall()
    # notes for aggregates that are gone
    assert (
        one(
            connection,
            """
        select count(*) from _timescaledb_catalog.continuous_aggs_materialization_invalidation_log
        where
            materialization_id not in (
                select mat_hypertable_id from _timescaledb_catalog.continuous_agg
            )
        """,
        )
        == 0
    )

    # and the comparison can fail
    with plain.connection.transaction(force_rollback=True):
        plain.connection.execute(
            """
            update anchorline_intermediate.int_growth_states
            set weight_g = weight_g * (1 + 1e-12)
            where (assignment_id, state_date) in (
                select assignment_id, state_date from anchorline_intermediate.int_growth_states
                order by assignment_id, state_date desc limit 1
            )
            """
        )
        (found,) = differences(farm, plain)
    assert found.table == "intermediate.int_growth_states"
    assert (found.only_first, found.only_second) == (1, 1)


# -- compressed chunks -----------------------------------------------------------------------------


@pytest.fixture
def compressed(farm: Farm) -> list[Chunk]:
    """The chunks of the farm, whose rows are all compressed."""
    compress(farm.connection)
    found = chunks(farm.connection)
    assert len(found) > 5
    assert {chunk.plain_bytes for chunk in found} == {0}
    return found


def last_change(connection: Connection) -> int:
    return int(one(connection, "select max(change_id) from anchorline_ops.int_changes"))


def assert_only_later_chunks_decompressed(farm: Farm, first_day: date) -> None:
    found = chunks(farm.connection)
    before = [chunk for chunk in found if chunk.end_day <= first_day]
    later = [chunk for chunk in found if chunk.end_day > first_day]
    assert {chunk.plain_bytes for chunk in before} == {0}, before
    assert any(chunk.plain_bytes > 0 for chunk in later), "there are new rows"


@pytest.mark.parametrize("is_limited", [False, True], ids=["scan", "limited"])
def test_a_refresh_decompresses_no_chunk_before_the_first_changed_day(
    farm: Farm, compressed: list[Chunk], is_limited: bool
) -> None:
    connection = farm.connection
    as_of = date.fromisoformat(farm.variables["as_of_date"])
    sample, batch, day = one(
        connection,
        """
        select record_id, batch_id, anchor_date
        from anchorline_marts.weight_anchors
        where anchor_type = 'growth_sample' and anchor_status = 'used' and anchor_date <= %s
        order by anchor_date desc, record_id limit 1
        """,
        as_of - timedelta(days=150),
    )
    assert sum(chunk.end_day <= day for chunk in compressed) >= 3
    number = last_change(connection)
    connection.execute(
        "update batch_growthsample set avg_weight_g = avg_weight_g * 1.01 + 0.01 where id = %s",
        (sample,),
    )
    if is_limited:
        farm.dbt("run", "--select", MODELS, refresh_batches=[batch])
    else:
        farm.dbt("build")
    first_day = one(
        connection,
        "select min(from_date) from anchorline_ops.int_changes where change_id > %s",
        number,
    )
    assert first_day == day
    assert_only_later_chunks_decompressed(farm, first_day)


def test_the_next_day_decompresses_the_last_days_chunk(farm: Farm, compressed: list[Chunk]) -> None:
    as_of = date.fromisoformat(farm.variables["as_of_date"])
    farm.variables["as_of_date"] = (as_of + A_DAY).isoformat()
    farm.dbt("build")
    assert (
        one(farm.connection, "select max(state_date) from anchorline_marts.daily_assignment_states")
        == as_of + A_DAY
    )
    assert_only_later_chunks_decompressed(farm, as_of)


def test_a_refresh_with_nothing_to_do_decompresses_nothing(
    farm: Farm, compressed: list[Chunk]
) -> None:
    number = last_change(farm.connection)
    farm.dbt("build")
    batch = one(farm.connection, "select min(batch_id) from anchorline_marts.batches")
    farm.dbt("run", "--select", MODELS, refresh_batches=[batch])
    assert last_change(farm.connection) == number
    assert chunks(farm.connection) == compressed


def test_the_unique_key_holds_in_compressed_chunks(farm: Farm, compressed: list[Chunk]) -> None:
    connection = farm.connection
    first, last = compressed[0].name, compressed[-1].name

    def insert_first_row_of(chunk: str) -> None:
        connection.execute(
            sql.SQL(
                "insert into anchorline_marts.daily_assignment_states select * from {} limit 1"
            ).format(sql.SQL(chunk))
        )

    for chunk in (first, last):
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            insert_first_row_of(chunk)
    # and where rows are plain ones
    with connection.transaction(force_rollback=True):
        connection.execute("select decompress_chunk(%s)", (last,))
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            insert_first_row_of(last)


# -- editions --------------------------------------------------------------------------------------


def test_the_apache_edition_publishes_the_same_rows(
    farm: Farm, make_apache_database: MakeDatabase, open_farm: OpenFarm
) -> None:
    apache = open_farm(make_apache_database())
    apache.variables = dict(farm.variables)
    copy_records(farm, apache)
    assert readings.convert(
        apache.connection, "public", chunk_days=CHUNK_DAYS_OF_READINGS, wait_seconds=10
    )
    apache.dbt("build")
    apache.dbt("build")
    assert_same_rows(farm, apache)
    assert is_hypertable(apache.connection, "anchorline_marts", "daily_assignment_states")
    assert is_hypertable(apache.connection, "public", readings.TABLE)
    assert not jobs(apache.connection)
    assert not any(chunk.is_compressed for chunk in chunks(apache.connection))
    assert one(
        apache.connection,
        "select to_regclass('anchorline_intermediate.container_day_temperatures') is null",
    )


# -- a horizon -------------------------------------------------------------------------------------


def test_states_beyond_the_horizon_are_dropped_alike(farm: Farm, plain: Farm) -> None:
    """Years later two stays go on, all others have ended; those of their lineage are followed."""
    connection = farm.connection
    staying = [
        stay
        for (stay,) in connection.execute(
            """
            select id from batch_batchcontainerassignment
            where is_active and departure_date is null and batch_id = (
                select batch_id from batch_batchcontainerassignment
                where is_active and departure_date is null
                group by batch_id order by count(*) desc limit 1
            )
            order by id limit 2
            """
        )
    ]
    assert len(staying) == 2
    connection.execute(
        """
        update batch_batchcontainerassignment
        set departure_date = greatest(assignment_date + 1, %s), is_active = false
        where is_active and departure_date is null and id <> all(%s)
        """,
        (FIRST_AS_OF, staying),
    )
    as_of = date(FIRST_AS_OF.year + KEPT_YEARS, 6, 1)
    farm.variables["as_of_date"] = as_of.isoformat()
    farm.dbt("build")
    compress(connection)
    assert_as_on_plain_postgresql(farm, plain)

    for one_farm in (farm, plain):
        one_farm.variables["states_kept_years"] = KEPT_YEARS
        one_farm.dbt("build")
    assert jobs(connection) == {
        **EXPECTED_JOBS,
        ("policy_retention", "daily_assignment_states"): 1,
    }
    first_day = "select min(state_date) from anchorline_marts.daily_assignment_states"
    horizon = as_of.replace(year=as_of.year - KEPT_YEARS)
    assert horizon - timedelta(days=91) < one(connection, first_day) <= horizon
    assert_same_rows(farm, plain, least_states=1)

    # what has ended before is left alone, however its records change
    number = last_change(connection)
    computed = "select max(last_computed_at) from anchorline_marts.daily_assignment_states"
    computed_at = one(connection, computed)
    sample = one(
        connection,
        """
        select min(anchors.record_id)
        from anchorline_marts.weight_anchors as anchors
        inner join anchorline_intermediate.int_lineages as lineages using (batch_id)
        where
            anchors.anchor_type = 'growth_sample'
            and anchors.anchor_status = 'used'
            and lineages.lineage_id <> all(
                select lineage_id from anchorline_intermediate.int_lineages
                where batch_id in (
                    select batch_id from batch_batchcontainerassignment where id = any(%s)
                )
            )
        """,
        staying,
    )
    assert sample is not None, "a lineage has ended"
    make_heavier = "update batch_growthsample set avg_weight_g = avg_weight_g + 1 where id = %s"
    connection.execute(make_heavier, (sample,))
    farm.dbt("build")
    assert last_change(connection) == number
    assert one(connection, computed) == computed_at


def test_a_horizon_that_is_too_near_stops_the_run(farm: Farm) -> None:
    farm.variables["states_kept_years"] = 4
    try:
        with pytest.raises(DbtFailedError, match=r"states_kept_years is 4: .* at least 5"):
            farm.dbt("run", "--select", "daily_assignment_states")
    finally:
        del farm.variables["states_kept_years"]
