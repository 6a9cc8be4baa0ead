"""`anchorline refresh` and `watch` on a built farm: what they do, say and leave behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import psycopg2  # type: ignore[import-untyped]
import pytest
from conftest import AS_OF, BuiltDemo, small_again
from psycopg import sql

from anchorline.bench.building import RowsRead
from anchorline.database import EmbeddedServer
from anchorline.refresh import RefreshBusyError, RefreshError, RefreshOutcome
from anchorline.refresh.lock import is_refreshing, refresh_lock
from anchorline.refresh.run import Scope
from anchorline.refresh.scope import OVERLAP
from anchorline.refresh.session import RefreshSession
from anchorline.refresh.webhook import Webhook
from devtools.equality import ABOUT_REFRESHES, LEFT_OUT, content

VARIABLES = {"as_of_date": AS_OF.isoformat()}
COMMAND = [sys.executable, "-m", "anchorline"]
MOST_ROWS_READ_BY_STATE = 120
"""Of all tables, for each state of the lineage whose sample has changed: most of them, 90 in all
when this was written, are its days to come and what they are computed from.
"""


@pytest.fixture(scope="module")
def farm(
    server: EmbeddedServer,
    small_demo: BuiltDemo,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A copy of the small farm with triggers; its libpq URL."""
    target = tmp_path_factory.mktemp("refreshed")
    parsed = target / "refresh-prod" / "partial_parse.msgpack"
    parsed.parent.mkdir()
    shutil.copy(small_demo.target_folder / parsed.name, parsed)
    with small_again(server), pytest.MonkeyPatch.context() as patch:
        for name, value in {**small_demo.environment, "DBT_TARGET_PATH": str(target)}.items():
            patch.setenv(name, value)
        subprocess.run([*COMMAND, "events", "install", "--target", "prod"], check=True)
        yield small_demo.url


@pytest.fixture(scope="module")
def session(farm: str) -> Iterator[RefreshSession]:
    """A session whose dbt stays parsed; the first refresh has built what is new."""
    session = RefreshSession("prod", variables=VARIABLES, runners=2)
    session.refresh(scan=True)
    yield session
    session.close()


@pytest.fixture
def connection(farm: str, session: RefreshSession) -> Iterator[psycopg.Connection]:
    with psycopg.connect(farm, autocommit=True) as connection:
        yield connection


def one(connection: psycopg.Connection, query: str, *parameters: object) -> Any:
    row = connection.execute(query, parameters).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return row[0] if len(row) == 1 else row


def a_used_sample(connection: psycopg.Connection, days_back: int) -> tuple[int, int, int, date]:
    """Return a used sample of about so many days ago: its id, assignment, batch and day."""
    return tuple(  # type: ignore[return-value]
        one(
            connection,
            """
            select record_id, assignment_id, batch_id, anchor_date
            from anchorline_marts.weight_anchors
            where anchor_type = 'growth_sample' and is_used and anchor_date <= %s
            order by anchor_date desc, record_id
            limit 1
            """,
            AS_OF - timedelta(days=days_back),
        )
    )


def test_nothing_queued_is_nothing_to_do(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    assert session.refresh() is None


def test_a_corrected_sample_touches_its_lineage_from_its_day_on(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    sample, assignment, batch, day = a_used_sample(connection, 120)
    lineage = one(
        connection,
        """
        select array_agg(mates.batch_id)
        from anchorline_marts.batches as own
        inner join anchorline_marts.batches as mates using (lineage_id)
        where own.batch_id = %s
        """,
        batch,
    )
    before = one(connection, "select clock_timestamp()")
    connection.execute(
        "update batch_growthsample set avg_weight_g = avg_weight_g + 1 where id = %s", (sample,)
    )
    preview, scope = session.preview()
    assert scope.batch_ids == (batch,)
    outcome = session.refresh()
    assert outcome is not None
    assert outcome.changes.from_date == day == preview.from_date
    assert preview.assignment_ids == outcome.changes.assignment_ids
    assert assignment in outcome.changes.assignment_ids
    touched = one(
        connection,
        """
        select count(*), min(state_date), bool_and(batch_id = any(%s))
        from anchorline_marts.daily_assignment_states
        where last_computed_at > %s
        """,
        lineage,
        before,
    )
    expected = one(
        connection,
        """
        select count(*) from anchorline_marts.daily_assignment_states
        where batch_id = any(%s) and state_date >= %s
        """,
        lineage,
        day,
    )
    assert touched == (expected, day, True)
    assert session.refresh() is None, "the queue is empty again"


@dataclass(frozen=True)
class RefreshOfASample:
    """A refresh after a sample of a while ago was corrected, and what it did."""

    sample: int
    assignment: int
    batch: int
    day: date
    transaction: int
    """The last one before it."""
    rows_read: dict[str, int]
    is_written: dict[str, bool]
    connections: list[str]
    models: list[str]
    log: tuple[Any, ...]


@pytest.fixture(scope="module")
def of_a_sample(farm: str, session: RefreshSession) -> RefreshOfASample:
    """One refresh for all tests that look at what a corrected sample makes it do."""
    opened: list[str] = []
    ended: list[str] = []
    connect = psycopg2.connect

    def count_and_connect(**parameters: Any) -> Any:
        opened.append(parameters["dbname"])
        return connect(**parameters)

    with (
        psycopg.connect(farm, autocommit=True) as connection,
        pytest.MonkeyPatch.context() as patch,
    ):
        sample, assignment, batch, day = a_used_sample(connection, 60)
        number = one(connection, "select batch_number from batch_batch where id = %s", batch)
        session.refresh(batch_numbers=[number], validate=False)

        def newest() -> dict[str, int]:
            return {
                name: one(connection, f"select max(xmin::text::bigint) from {name}")  # noqa: S608
                for name in (
                    "anchorline_intermediate.int_assignment_day_deaths",
                    "anchorline_intermediate.int_anchors",
                    "anchorline_marts.daily_assignment_states",
                )
            }

        transaction = one(connection, "select pg_current_xact_id()::text::bigint")
        before = newest()
        rows_read = RowsRead(connection)
        connection.execute(
            "update batch_growthsample set avg_weight_g = avg_weight_g + 1 where id = %s", (sample,)
        )
        patch.setattr(psycopg2, "connect", count_and_connect)
        patch.setattr(session._refresher, "_on_node", lambda name, done, total: ended.append(name))
        assert session.refresh(validate=False) is not None
        return RefreshOfASample(
            sample,
            assignment,
            batch,
            day,
            transaction,
            rows_read=rows_read.by_table(),
            is_written={name: xmin > before[name] for name, xmin in newest().items()},
            connections=opened,
            models=ended,
            log=one(
                connection,
                """
                select
                    mode, reason, batch_ids, outcome, from_date, assignment_count > 0, row_count > 0
                from anchorline_ops.refresh_log order by refresh_id desc limit 1
                """,
            ),
        )


def test_a_sample_makes_a_refresh_read_its_lineage_and_little_else(
    of_a_sample: RefreshOfASample, connection: psycopg.Connection
) -> None:
    """Counts, which are the same on every machine, as those of a build in `test_workload`."""
    read = of_a_sample.rows_read
    state_count = one(
        connection,
        """
        select count(*)
        from anchorline_marts.daily_assignment_states
        where batch_id in (
            select mates.batch_id
            from anchorline_marts.batches as own
            inner join anchorline_marts.batches as mates using (lineage_id)
            where own.batch_id = %s
        )
        """,
        of_a_sample.batch,
    )
    assert read["environmental_environmentalreading"] <= OVERLAP, "to find those that are new"
    assert 0 < sum(read.values()) <= MOST_ROWS_READ_BY_STATE * state_count


def test_the_log_says_what_was_done(of_a_sample: RefreshOfASample) -> None:
    assert of_a_sample.log == (
        "batches",
        "batch_growthsample update",
        [of_a_sample.batch],
        "succeeded",
        of_a_sample.day,
        True,
        True,
    )


def test_models_that_read_no_changed_table_are_not_run(of_a_sample: RefreshOfASample) -> None:
    assert of_a_sample.is_written == {
        "anchorline_intermediate.int_assignment_day_deaths": False,
        "anchorline_intermediate.int_anchors": True,
        "anchorline_marts.daily_assignment_states": True,
    }


def test_connections_are_kept_from_model_to_model(of_a_sample: RefreshOfASample) -> None:
    assert len(of_a_sample.models) > 50
    assert 0 < len(of_a_sample.connections) < 20


def test_queries_of_nodes_that_have_ended_are_not_held_in_memory(
    of_a_sample: RefreshOfASample, session: RefreshSession
) -> None:
    nodes = list(session._refresher._dbt.nodes("model"))
    assert sum(node.compiled for node in nodes) > 50
    assert [node.name for node in nodes if node.compiled_code] == []


def test_a_sample_leaves_the_inputs_of_earlier_days_alone(
    of_a_sample: RefreshOfASample, connection: psycopg.Connection
) -> None:
    first_written, anchor = one(
        connection,
        """
        select
            min(state_date) filter (where xmin::text::bigint > %s),
            max(anchor_weight_g) filter (where assignment_id = %s and state_date = %s)
        from anchorline_intermediate.int_growth_inputs
        where batch_id = %s
        """,
        of_a_sample.transaction,
        of_a_sample.assignment,
        of_a_sample.day,
        of_a_sample.batch,
    )
    assert first_written == of_a_sample.day
    assert anchor == one(
        connection,
        "select avg_weight_g::double precision from batch_growthsample where id = %s",
        of_a_sample.sample,
    )


def test_days_before_the_first_changed_record_are_left_alone(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    """A death of the last day, which also lowers the live count of its assignment."""
    assignment, batch, number, population = one(
        connection,
        """
        select assignment_id, batch_id, batch_number, population
        from anchorline_marts.daily_assignment_states
        where
            state_date = %s
            and population > 100
            and mortality_count = 0
            and mortality_source = 'actual'
        order by assignment_id
        limit 1
        """,
        AS_OF,
    )
    session.refresh(batch_numbers=[number], validate=False)
    transaction = one(connection, "select pg_current_xact_id()::text::bigint")
    connection.execute(
        """
        insert into batch_mortalityevent (
            event_date, count, biomass_kg, cause, description, created_at, updated_at, batch_id,
            assignment_id
        )
        values (%s, 7, 0, 'OTHER', '', now(), now(), %s, %s)
        """,
        (AS_OF, batch, assignment),
    )
    connection.execute(
        "update batch_batchcontainerassignment set population_count = population_count - 7 "
        "where id = %s",
        (assignment,),
    )
    assert session.refresh(validate=False) is not None
    first_written = one(
        connection,
        "select min(state_date) from anchorline_intermediate.int_growth_inputs "
        "where batch_id = %s and xmin::text::bigint > %s",
        batch,
        transaction,
    )
    assert first_written == AS_OF
    assert population - 7 == one(
        connection,
        "select population from anchorline_marts.daily_assignment_states "
        "where assignment_id = %s and state_date = %s",
        assignment,
        AS_OF,
    )


def test_new_readings_are_found_by_their_id(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    session.refresh(validate=False)  # sets the mark
    container, reading_day, batch = one(
        connection,
        """
        select container_id, state_date, batch_id
        from anchorline_marts.daily_assignment_states
        where temp_source = 'measured' and state_date = %s
        order by assignment_id limit 1
        """,
        AS_OF,
    )
    connection.execute(
        """
        insert into environmental_environmentalreading (
            value, reading_time, is_manual, notes, created_at, container_id, parameter_id
        )
        select 25, (%s::date + time '12:00') at time zone 'UTC', true, '', now(), %s, id
        from environmental_environmentalparameter where lower(trim(name)) = 'temperature'
        order by id limit 1
        """,
        (reading_day, container),
    )
    outcome = session.refresh()
    assert outcome is not None
    assert outcome.scope.readings_since == reading_day
    assert batch in outcome.scope.batch_ids
    assert "temperature" in dict(outcome.changes.reasons)
    assert session.refresh() is None


def test_a_second_refresh_says_that_it_is_busy(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    assert not is_refreshing(connection, "prod")
    with refresh_lock("prod"):
        assert is_refreshing(connection, "prod")
        with pytest.raises(RefreshBusyError, match="under way"):
            session.refresh(scan=True)
        done = subprocess.run(
            [*COMMAND, "refresh", "--scan", "--target", "prod", "--no-validate"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 75, done.stderr
        assert "Another refresh" in done.stderr
    assert not is_refreshing(connection, "prod")


def test_a_failure_is_logged_and_stays_pending(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    """A mart that somebody has locked away: dbt fails there, and goes on next time."""
    sample, _, batch, _ = a_used_sample(connection, 30)
    connection.execute(
        "update batch_growthsample set avg_weight_g = avg_weight_g + 1 where id = %s", (sample,)
    )
    connection.execute(
        "alter table anchorline_marts.weight_anchors add constraint impossible check (false) "
        "not valid"
    )
    try:
        with pytest.raises(RefreshError) as failure:
            session.refresh()
        assert "weight_anchors" in str(failure.value.details)
        folder = Path(os.environ["DBT_TARGET_PATH"]) / "refresh-prod"
        queries = {path.name for path in folder.glob("run/**/*.sql")}
        assert "weight_anchors.sql" in queries, "what failed can be looked at"
        assert "int_growth_states.sql" not in queries, "what did not is not written"
    finally:
        connection.execute("alter table anchorline_marts.weight_anchors drop constraint impossible")
    outcome, error = one(
        connection,
        "select outcome, error from anchorline_ops.refresh_log order by refresh_id desc limit 1",
    )
    assert outcome == "failed"
    assert "weight_anchors" in error
    attempts = one(
        connection,
        "select attempt_count from anchorline_ops.event_failures where batch_id = %s",
        batch,
    )
    assert attempts == 1
    connection.execute("update anchorline_ops.event_failures set next_attempt_at = now()")
    result = session.refresh()
    assert isinstance(result, RefreshOutcome)
    weight, published = one(
        connection,
        """
        select samples.avg_weight_g, anchors.weight_g
        from batch_growthsample as samples
        inner join anchorline_marts.weight_anchors as anchors
            on anchors.anchor_type = 'growth_sample' and anchors.record_id = samples.id
        where samples.id = %s
        """,
        sample,
    )
    assert weight == published
    assert one(connection, "select count(*) from anchorline_ops.event_failures") == 0


def test_a_poisoned_batch_stops_no_other_and_is_set_aside(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    """Two batches have changed, and one has rows that a mart late in the run cannot take."""
    samples = connection.execute(
        """
        select distinct on (lineages.lineage_id) anchors.batch_id, anchors.record_id
        from anchorline_marts.weight_anchors as anchors
        inner join anchorline_intermediate.int_lineages as lineages
            on anchors.batch_id = lineages.batch_id
        where anchors.anchor_type = 'growth_sample' and anchors.is_used
        order by lineages.lineage_id, anchors.anchor_date desc, anchors.record_id
        limit 2
        """
    ).fetchall()
    (poisoned, _), (healthy, _) = samples
    connection.execute(
        "update batch_growthsample set avg_weight_g = avg_weight_g + 1 where id = any(%s)",
        ([sample for _, sample in samples],),
    )
    behind = """
        select count(*)
        from batch_growthsample as samples
        inner join anchorline_marts.weight_anchors as anchors
            on anchors.anchor_type = 'growth_sample' and anchors.record_id = samples.id
        where anchors.batch_id = %s and samples.avg_weight_g <> anchors.weight_g
    """
    failure = """
        select attempt_count, set_aside_at is not null
        from anchorline_ops.event_failures where batch_id = %s
    """
    connection.execute(
        sql.SQL(
            "alter table anchorline_marts.weight_anchors "
            "add constraint poison check (batch_id <> {}) not valid"
        ).format(sql.Literal(poisoned))
    )
    try:
        with pytest.raises(RefreshError) as raised:
            session.refresh(validate=False)
        assert f"[{poisoned}]" in str(raised.value.details)
        assert one(connection, failure, poisoned) == (1, False)
        # its last attempt; the pauses before are tested at the queue
        connection.execute(
            "update anchorline_ops.event_failures set next_attempt_at = now(), attempt_count = 4"
        )
        with pytest.raises(RefreshError):
            session.refresh(validate=False)
        assert one(connection, behind, poisoned) == 1
        assert one(connection, behind, healthy) == 0
        assert connection.execute(failure, (healthy,)).fetchone() is None
        assert one(connection, failure, poisoned) == (5, True)
        assert session.refresh(validate=False) is None  # set aside: not tried by itself
        shown = subprocess.run(
            [*COMMAND, "events", "status", "--target", "prod"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert "weight_anchors" in shown.stdout + shown.stderr
    finally:
        connection.execute("alter table anchorline_marts.weight_anchors drop constraint poison")
    subprocess.run([*COMMAND, "events", "retry", "--all", "--target", "prod"], check=True)
    outcome = session.refresh(validate=False)
    assert isinstance(outcome, RefreshOutcome)
    assert outcome.changes.batch_ids
    assert one(connection, behind, poisoned) == 0
    assert one(connection, "select count(*) from anchorline_ops.event_failures") == 0


@contextmanager
def held(connection: psycopg.Connection, relation: str) -> Iterator[Callable[[int], None]]:
    """Keep dbt from replacing a table; yields what waits until so many runs stand before it."""
    database = one(connection, "select current_database()")
    key = ".".join(f'"{name}"' for name in (database, *relation.split(".")))

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if count == one(
                connection,
                """
                select count(*) from pg_locks
                where
                    not granted
                    and classid::bigint = hashtext('anchorline model')::bigint & 4294967295
                    and objid::bigint = hashtext(%s)::bigint & 4294967295
                """,
                key,
            ):
                return
            time.sleep(0.1)
        raise AssertionError(f"{count} runs have not come to {relation}")

    lock = "(hashtext('anchorline model'), hashtext(%s))"
    connection.execute("select pg_advisory_lock" + lock, (key,))
    try:
        yield wait_for
    finally:
        connection.execute("select pg_advisory_unlock" + lock, (key,))


def refresh_beside(session: RefreshSession) -> Future[RefreshOutcome | None]:
    """Refresh in a thread."""
    executor = ThreadPoolExecutor(1)
    refreshing = executor.submit(session.refresh, validate=False)
    executor.shutdown(wait=False)
    return refreshing


def change_a_sample_of_each_lineage(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        update batch_growthsample set avg_weight_g = avg_weight_g + 1
        where id in (
            select max(anchors.record_id)
            from anchorline_marts.weight_anchors as anchors
            inner join anchorline_intermediate.int_lineages using (batch_id)
            where anchors.anchor_type = 'growth_sample' and anchors.is_used
            group by lineage_id
        )
        """
    )


def last_outcomes(connection: psycopg.Connection, count: int) -> list[tuple[str, set[int]]]:
    rows = connection.execute(
        """
        select outcome, batch_ids from anchorline_ops.refresh_log
        order by refresh_id desc limit %s
        """,
        (count,),
    ).fetchall()
    return [(outcome, set(batch_ids)) for outcome, batch_ids in reversed(rows)]


def contents(connection: psycopg.Connection) -> dict[str, tuple[int, int | None]]:
    """Return, for each table of the layers, the number of its rows and a sum of their hashes."""
    tables = connection.execute(
        """
        select table_schema, table_name, array_agg(column_name::text order by ordinal_position)
        from information_schema.columns
        inner join information_schema.tables using (table_schema, table_name)
        where
            table_schema in ('anchorline_intermediate', 'anchorline_marts')
            and table_type = 'BASE TABLE'
            and table_name <> all(%s)
            and column_name <> all(%s)
        group by table_schema, table_name
        """,
        (list(ABOUT_REFRESHES), list(LEFT_OUT)),
    ).fetchall()
    assert len(tables) > 100
    return {
        table: content(connection, sql.Identifier(schema, table), columns)
        for schema, table, columns in tables
    }


def assert_one_runner_gives_the_same(
    session: RefreshSession, connection: psycopg.Connection, first_change: int
) -> None:
    """One runner that follows the same changes again leaves every row as several have made it."""
    assert one(connection, "select count(*) from anchorline_ops.change_events") == 0
    assert one(
        connection,
        "select min(change_id) = (select max(change_id) from anchorline_ops.int_changes) "
        "from anchorline_ops.published",
    )
    by_several = contents(connection)
    changed = one(
        connection,
        "select array_agg(distinct batch_id) from anchorline_ops.int_changes where change_id > %s",
        first_change,
    )
    connection.execute("update anchorline_ops.published set change_id = %s", (first_change,))
    numbers = connection.execute(
        "select batch_number from batch_batch where id = any(%s)", (changed,)
    ).fetchall()
    session.refresh(batch_numbers=[number for (number,) in numbers], validate=False)
    by_one = contents(connection)
    assert {name for name in by_one if by_one[name] != by_several[name]} == set()


LAST_CHANGE = "select max(change_id) from anchorline_ops.int_changes"


def test_two_runners_do_at_once_what_one_does(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    before = one(connection, LAST_CHANGE)
    change_a_sample_of_each_lineage(connection)
    queued = one(connection, "select array_agg(batch_id) from anchorline_ops.change_events")
    with held(connection, "anchorline_marts.daily_assignment_states") as wait_for:
        refreshing = refresh_beside(session)
        wait_for(2)
    outcome = refreshing.result()
    assert outcome is not None
    (first, of_first), (second, of_second) = last_outcomes(connection, 2)
    assert (first, second) == ("succeeded", "succeeded")
    assert of_first
    assert of_second
    assert not of_first & of_second
    assert of_first | of_second == set(queued) <= set(outcome.changes.batch_ids)
    assert_one_runner_gives_the_same(session, connection, before)


def test_the_share_of_a_killed_runner_is_done_by_one(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    before = one(connection, LAST_CHANGE)
    change_a_sample_of_each_lineage(connection)
    with held(connection, "anchorline_marts.weight_anchors") as wait_for:
        refreshing = refresh_beside(session)
        wait_for(2)
        (runner,) = multiprocessing.active_children()
        runner.kill()
    assert refreshing.result() is not None
    (first, _), (second, of_second), (again, of_again) = last_outcomes(connection, 3)
    assert (first, second, again) == ("succeeded", "failed", "succeeded")
    assert of_second == of_again
    assert_one_runner_gives_the_same(session, connection, before)


def test_lineages_that_are_joined_while_two_runners_refresh_them_come_out_right(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    before = one(connection, LAST_CHANGE)
    source, dest, day, batches = one(
        connection,
        """
        select
            sources.assignment_id, dests.assignment_id,
            greatest(sources.assignment_date, dests.assignment_date) + 2,
            array[sources.batch_id, dests.batch_id]
        from anchorline_intermediate.int_assignments as sources
        inner join anchorline_intermediate.int_assignments as dests
            on
                sources.assignment_date + 3 < dests.last_active_date
                and dests.assignment_date + 3 < sources.last_active_date
        inner join anchorline_intermediate.int_lineages as of_sources
            on sources.batch_id = of_sources.batch_id
        inner join anchorline_intermediate.int_lineages as of_dests
            on dests.batch_id = of_dests.batch_id
        where of_sources.lineage_id < of_dests.lineage_id
        order by
            sources.lifecycle_stage_id <> dests.lifecycle_stage_id,
            sources.assignment_id,
            dests.assignment_id
        limit 1
        """,
    )
    connection.execute(
        "insert into anchorline_ops.change_events (batch_id, reason) "
        "select unnest(%s::bigint[]), 'by hand'",
        (batches,),
    )
    with held(connection, "anchorline_intermediate.int_transfer_actions_checked") as wait_for:
        refreshing = refresh_beside(session)
        wait_for(2)
        connection.execute(
            """
            insert into batch_transferaction
            select (
                jsonb_populate_record(
                    actions,
                    jsonb_build_object(
                        'id', (select max(id) + 1 from batch_transferaction),
                        'action_number', 99,
                        'source_assignment_id', %s::bigint,
                        'dest_assignment_id', %s::bigint,
                        'actual_execution_date', %s::date,
                        'transferred_count', 7
                    )
                )
            ).*
            from batch_transferaction as actions
            where status = 'COMPLETED' order by id limit 1
            """,
            (source, dest, day),
        )
    assert refreshing.result() is not None
    outcomes = last_outcomes(connection, 3)
    assert [outcome for outcome, _ in outcomes] == ["failed", "failed", "succeeded"]
    errors = connection.execute(
        "select error from anchorline_ops.refresh_log where outcome = 'failed' "
        "order by refresh_id desc limit 2"
    ).fetchall()
    for (error,) in errors:
        assert "must be refreshed together" in error
    session.refresh(validate=False)  # the transfer, which came after the queue had been read
    assert (
        one(
            connection,
            "select count(distinct lineage_id) from anchorline_intermediate.int_lineages "
            "where batch_id = any(%s)",
            batches,
        )
        == 1
    )
    assert_one_runner_gives_the_same(session, connection, before)


def stopped_share(
    session: RefreshSession,
    connection: psycopg.Connection,
    batch: int,
    change: Callable[[], object],
) -> str:
    """Refresh a batch's lineage as one of several runs that must stop, and change it when begun."""
    lineage = one(
        connection,
        """
        select array_agg(mates.batch_id)
        from anchorline_intermediate.int_lineages as own
        inner join anchorline_intermediate.int_lineages as mates using (lineage_id)
        where own.batch_id = %s
        """,
        batch,
    )
    share = Scope("batches", "by hand", batch_ids=(batch,), keeps_to=tuple(lineage))
    before = one(connection, LAST_CHANGE)
    with (
        ThreadPoolExecutor(1) as executor,
        held(connection, "anchorline_intermediate.int_assignments_checked") as wait_for,
    ):
        refreshing = executor.submit(session._refresher.refresh_share, share)
        wait_for(1)
        change()
    with pytest.raises(RefreshError) as raised:
        refreshing.result()
    assert one(connection, LAST_CHANGE) == before
    return str(raised.value.details)


def test_one_of_several_stops_where_it_has_examined_a_batch_of_another(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    """An assignment that no transfer leads to or from has come into another batch."""
    moved, batch = one(
        connection,
        """
        select assignment_id, batch_id from anchorline_intermediate.int_assignments
        where
            not exists (
                select from batch_transferaction
                where assignment_id in (source_assignment_id, dest_assignment_id)
            )
        order by assignment_id limit 1
        """,
    )
    other = one(
        connection,
        """
        insert into batch_batch
        select (
            jsonb_populate_record(
                batches,
                jsonb_build_object(
                    'id', (select max(id) + 1 from batch_batch), 'batch_number', 'ANOTHER'
                )
            )
        ).*
        from batch_batch as batches where id = %s
        returning id
        """,
        batch,
    )
    move = "update batch_batchcontainerassignment set batch_id = %s where id = %s"
    connection.execute(move, (other, moved))
    stopped = stopped_share(session, connection, batch, lambda: None)
    assert stopped.startswith("int_transfer_actions_checked: ")
    assert "must be refreshed together" in stopped
    connection.execute(move, (batch, moved))
    connection.execute("delete from batch_batch where id = %s", (other,))
    assert session.refresh(validate=False) is not None


def test_one_of_several_stops_where_its_changes_reach_a_batch_of_another(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    """Fish have eaten, by what is recorded since, from the feed of those before them."""
    feeding, first_fed, late, batch, came_on = one(
        connection,
        """
        select
            feed.id, feed.feeding_date, late.assignment_id, late.batch_id, late.assignment_date
        from anchorline_intermediate.int_assignments as late
        inner join anchorline_intermediate.int_lineages as of_late using (batch_id)
        inner join anchorline_intermediate.int_assignments as early
            on
                late.container_id = early.container_id
                and early.last_active_date < late.assignment_date
        inner join anchorline_intermediate.int_lineages as of_early
            on early.batch_id = of_early.batch_id and of_late.lineage_id <> of_early.lineage_id
        inner join inventory_feedingevent as feed on early.assignment_id = feed.batch_assignment_id
        order by feed.feeding_date desc, feed.id limit 1
        """,
    )
    eat = "update inventory_feedingevent set batch_id = %s, batch_assignment_id = %s where id = %s"
    come = "update batch_batchcontainerassignment set assignment_date = %s where id = %s"
    eaters = one(
        connection,
        "select batch_id, batch_assignment_id from inventory_feedingevent where id = %s",
        feeding,
    )
    # older instances have such feed
    connection.execute("alter table inventory_feedingevent alter column batch_id drop not null")
    connection.execute(eat, (None, None, feeding))
    assert session.refresh(validate=False) is not None
    stopped = stopped_share(
        session, connection, batch, lambda: connection.execute(come, (first_fed, late))
    )
    assert stopped.startswith("int_changes: ")
    assert "must be refreshed together" in stopped
    connection.execute(come, (came_on, late))
    connection.execute(eat, (*eaters, feeding))
    connection.execute("alter table inventory_feedingevent alter column batch_id set not null")
    assert session.refresh(validate=False) is not None


def test_a_row_of_a_killed_refresh_is_closed(
    session: RefreshSession, connection: psycopg.Connection
) -> None:
    connection.execute(
        "insert into anchorline_ops.refresh_log (mode, reason) values ('scan', 'died')"
    )
    session.refresh(
        batch_numbers=[one(connection, "select min(batch_number) from batch_batch")], validate=False
    )
    assert (
        one(
            connection,
            "select outcome from anchorline_ops.refresh_log where reason = 'died'",
        )
        == "killed"
    )


def test_unknown_batch_is_named(session: RefreshSession, connection: psycopg.Connection) -> None:
    done = subprocess.run(
        [*COMMAND, "refresh", "--batch", "Лосось 'x'", "--target", "prod"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Лосось" in done.stderr
    assert "Traceback" not in done.stderr


def test_choices_exclude_each_other() -> None:
    done = subprocess.run(
        [*COMMAND, "refresh", "--scan", "--days", "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


class _Receiver(BaseHTTPRequestHandler):
    received: list[dict[str, str]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.received.append(json.loads(self.rfile.read(length)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


def test_webhook_posts_json_and_never_raises() -> None:
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        hook = Webhook(f"http://127.0.0.1:{server.server_port}/token")
        assert hook.call("Лосось", 'with "quotes"') is None
        assert _Receiver.received[-1]["title"] == "Лосось"
    finally:
        server.shutdown()
        server.server_close()
    problem = hook.call("again", "nobody listens")
    assert problem is not None
    assert "token" not in problem


def test_watch_refreshes_a_sample_and_stops_on_sigterm(
    session: RefreshSession, connection: psycopg.Connection, tmp_path: Path
) -> None:
    sample, _, _, _ = a_used_sample(connection, 45)
    log = tmp_path / "watch.log"
    with log.open("w") as output:
        watcher = subprocess.Popen(
            [
                *(*COMMAND, "watch", "--target", "prod", "--debounce", "0.2", "--no-validate"),
                *("--scan-at", "never", "--vars", json.dumps(VARIABLES)),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ,
        )
    try:
        wait_until(lambda: is_watching(connection), 60, log)
        connection.execute(
            "update batch_growthsample set avg_weight_g = avg_weight_g + 1 where id = %s", (sample,)
        )
        wait_until(lambda: is_published(connection, sample), 60, log)
        # the database drops the watcher's connections: it comes back
        connection.execute(
            """
            select pg_terminate_backend(pid) from pg_stat_activity
            where
                datname = current_database()
                and usename = current_user -- autovacuum has sessions too
                and pid <> pg_backend_pid()
            """
        )
        connection.execute(
            "update batch_growthsample set avg_weight_g = avg_weight_g + 1 where id = %s", (sample,)
        )
        wait_until(lambda: is_published(connection, sample), 60, log)
        check = subprocess.run(
            [*COMMAND, "watch", "--check", "--target", "prod"], capture_output=True, check=False
        )
        assert check.returncode == 0, check.stdout
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(30) == 0, log.read_text()
    finally:
        watcher.kill()
        watcher.wait()
    check = subprocess.run(
        [*COMMAND, "watch", "--check", "--target", "prod"], capture_output=True, check=False
    )
    assert check.returncode == 1
    assert "Traceback" not in log.read_text()


def is_watching(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        """
        select state = 'watching' and beat_at > now() - interval '30 s'
        from anchorline_ops.watch_status
        """
    ).fetchone()
    return bool(row and row[0])


def is_published(connection: psycopg.Connection, sample: int) -> bool:
    weight, published = one(
        connection,
        """
        select samples.avg_weight_g, anchors.weight_g
        from batch_growthsample as samples
        inner join anchorline_marts.weight_anchors as anchors
            on anchors.anchor_type = 'growth_sample' and anchors.record_id = samples.id
        where samples.id = %s
        """,
        sample,
    )
    queued = one(connection, "select count(*) from anchorline_ops.change_events")
    return bool(weight == published and queued == 0)


def wait_until(condition: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.2)
    pytest.fail(f"waited {seconds} s in vain:\n{log.read_text()}")
