"""The engine restarted on a day gives the stored rows from that day on, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
import pytest
from conftest import AS_OF, BuiltDemo
from psycopg import sql

from devtools.compiled_models import Dbt

INTERMEDIATE = "anchorline_intermediate"

DAYS = {
    "the first day": "select min(state_date) from int_growth_states",
    "the day after the first": "select min(state_date) + 1 from int_growth_states",
    "the day with the most transfers": """
        select arrived_date from int_movements
        where movement_type = 'transfer'
        group by arrived_date order by count(*) desc, arrived_date limit 1
    """,
    "a day after fish arrived that nobody recorded": """
        select min(arrived_date) + 1 from int_movements where is_inferred
    """,
    "a day on which an anchor resets the weight": """
        select state_date from int_growth_states
        where weight_source = 'measured' and weight_g <> modelled_weight_g
        order by state_date offset 20 limit 1
    """,
    "the day after a stage change": """
        select states.state_date + 1
        from int_growth_states as states
        inner join int_assignments as assignments using (assignment_id)
        where states.lifecycle_stage_id <> assignments.lifecycle_stage_id
        order by states.state_date limit 1
    """,
    "a day to which much of a fish is carried": """
        select state_date + 1 from int_growth_states
        where mortality_carry > 0.9 order by state_date offset 100 limit 1
    """,
    "a day with deaths of a whole batch": """
        select min(state_date) from int_growth_states where mortality_source = 'prorated'
    """,
    "a day of which fish are in transit": """
        select min(state_date) from int_growth_states where is_in_transit
    """,
    "the day on which fish in transit arrive": """
        select min(state_date) + 1 from int_growth_states as states
        where
            is_in_transit
            and not exists (
                select 1 from int_growth_states as tomorrow
                where
                    tomorrow.assignment_id = states.assignment_id
                    and tomorrow.state_date = states.state_date + 1
            )
    """,
    "a day in the middle": """
        select min(state_date) + (max(state_date) - min(state_date)) / 2 from int_growth_states
    """,
    "the last day": "select max(state_date) from int_growth_states",
}


@dataclass(frozen=True)
class Engine:
    """A database with stored states, and the engine's query as a refresh runs it."""

    url: str
    query: sql.SQL

    def connect(self) -> psycopg.Connection:
        options = f"-c search_path={INTERMEDIATE}"
        return psycopg.connect(self.url, options=options)

    def restart(self, connection: psycopg.Connection, day: date) -> None:
        """Compute the states from a day on, as if all of them had changed: table `restarted`."""
        connection.execute(
            "create temp table pending_assignments (assignment_id bigint, from_date date)"
        )
        connection.execute(
            "insert into pending_assignments select assignment_id, %s from int_assignments", (day,)
        )
        connection.execute(sql.SQL("create temp table restarted as {}").format(self.query))


@pytest.fixture(scope="module")
def engine(
    built_demo: BuiltDemo,
    dbt_on: Callable[[str], Dbt],
    tmp_path_factory: pytest.TempPathFactory,
) -> Engine:
    """The states of the demo farm, computed from its first day on."""
    query = dbt_on(built_demo.url).query(
        "int_growth_states",
        tmp_path_factory.mktemp("dbt"),
        variables={"as_of_date": AS_OF.isoformat()},
    )
    assert "pending_assignments" in query, "compiled for changes, not for a full build"
    return Engine(built_demo.url, sql.SQL(query))


@pytest.mark.parametrize("day_query", DAYS.values(), ids=DAYS.keys())
def test_restart_equals_rebuild(engine: Engine, day_query: str) -> None:
    with engine.connect() as connection:
        found = connection.execute(sql.SQL(day_query)).fetchone()
        assert found is not None
        day: date | None = found[0]
        assert day is not None, "the demo farm has no such day"
        engine.restart(connection, day)
        first, restarted = connection.execute(
            "select min(state_date), count(*) from restarted"
        ).fetchone() or (None, 0)
        assert first == day, "a restart gives rows from its day on, and none before"
        assert restarted > 0

        differing = connection.execute(
            """
            with stored as (
                select * from int_growth_states where state_date >= %(day)s
            ),

            only_stored as (
                select * from stored except all select * from restarted
            ),

            only_restarted as (
                select * from restarted except all select * from stored
            )

            select 'stored' as side, only_stored.* from only_stored
            union all
            select 'restarted' as side, only_restarted.* from only_restarted
            order by state_date, assignment_id, side
            limit 10
            """,
            {"day": day},
        ).fetchall()
        assert differing == []


def test_restart_after_the_last_day_gives_no_rows(engine: Engine) -> None:
    """The states of the day before are there, but there is nothing left to compute."""
    with engine.connect() as connection:
        engine.restart(connection, AS_OF + timedelta(days=1))
        assert connection.execute("select * from restarted").fetchall() == []


def test_assignments_restart_on_days_of_their_own(engine: Engine) -> None:
    """Lineages change on different days; a restart computes each from its own day on."""
    with engine.connect() as connection:
        connection.execute(
            """
            create temp table pending_assignments as
            select
                assignments.assignment_id,
                date '2024-01-01' + (lineages.lineage_id * 37 % 500)::integer as from_date
            from int_assignments as assignments
            inner join int_lineages as lineages using (batch_id)
            where lineages.lineage_id % 3 <> 0
            """
        )
        connection.execute(sql.SQL("create temp table restarted as {}").format(engine.query))
        differing = connection.execute(
            """
            with stored as (
                select states.*
                from int_growth_states as states
                inner join pending_assignments as pending
                    on
                        states.assignment_id = pending.assignment_id
                        and states.state_date >= pending.from_date
            )

            (select * from stored except all select * from restarted)
            union all
            (select * from restarted except all select * from stored)
            limit 10
            """
        ).fetchall()
        found = connection.execute("select count(*) from restarted").fetchone()
    assert differing == []
    assert found is not None
    assert found[0] > 0
