"""How fast the marts follow the records: refreshes measured on the benchmark's farm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import sql

from anchorline.bench.scratch import Tell, environment, pg_variables
from anchorline.bench.usage import Meter, Usage
from anchorline.events.install import install, project_place
from anchorline.refresh.run import RefreshOutcome
from anchorline.refresh.session import RefreshSession

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class RefreshTime:
    """One refresh: what it was of, what it took, and what it computed again."""

    name: str
    usage: Usage
    assignment_count: int
    row_count: int


def measure_refreshes(
    parameters: Mapping[str, Any],
    as_of: date,
    meter: Meter,
    tell: Tell,
    on_refresh: Callable[[RefreshTime], object],
) -> None:
    """Refresh a built farm in the ways of an ordinary year; its records are changed for it.

    `on_refresh` gets each refresh as soon as it is measured.
    """
    with (
        environment(pg_variables(parameters)),
        psycopg.connect(autocommit=True) as connection,
    ):
        install(connection, project_place("prod"))
        session = RefreshSession("prod", variables={"as_of_date": as_of.isoformat()})
        session.prepare()

        def measure(name: str, refresh: Callable[[], RefreshOutcome | None]) -> None:
            tell(f"Refreshing: {name}")
            with meter.phase() as usage:
                outcome = refresh()
            on_refresh(
                RefreshTime(
                    name,
                    usage,
                    outcome.changes.assignment_count if outcome else 0,
                    outcome.row_count if outcome else 0,
                )
            )

        try:
            measure("scan, nothing changed", lambda: session.refresh(scan=True))
            measure("events, nothing changed", session.refresh)
            _new_sample(connection, as_of)
            measure("events, one new sample", session.refresh)
            _new_sample(connection, as_of - timedelta(days=300))
            measure("events, a sample of 300 days ago", session.refresh)
            _new_sample(connection, as_of)
            measure("events, another new sample", session.refresh)
        finally:
            session.close()
        tomorrow = as_of + timedelta(days=1)
        _new_day(connection, as_of)
        session = RefreshSession("prod", variables={"as_of_date": tomorrow.isoformat()})
        session.prepare()
        try:
            measure("events, one new day of all that hold fish", session.refresh)
        finally:
            session.close()


def _new_sample(connection: Connection, day: date) -> None:
    """Enter a sample of an assignment that holds fish on a day, a tenth above its state."""
    connection.execute(
        sql.SQL(
            """
            insert into batch_growthsample (
                assignment_id, sample_date, sample_size, avg_weight_g, notes, created_at, updated_at
            )
            select assignment_id, state_date, 50, avg_weight_g * 1.1, '', now(), now()
            from anchorline_marts.daily_assignment_states
            where state_date = %s and population > 0 and anchor_type is null
            order by assignment_id
            limit 1
            """
        ),
        (day,),
    )


def _new_day(connection: Connection, day: date) -> None:
    """Enter for the day after a day what was entered for it: deaths, with the counts, and feed."""
    connection.execute(
        """
        insert into batch_mortalityevent (
            event_date, count, biomass_kg, cause, description, created_at, updated_at, batch_id,
            assignment_id
        )
        select
            event_date + 1, count, biomass_kg, cause, description, now(), now(), batch_id,
            assignment_id
        from batch_mortalityevent
        where event_date = %s
        """,
        (day,),
    )
    connection.execute(
        """
        update batch_batchcontainerassignment as assignments
        set population_count = assignments.population_count - events.count
        from batch_mortalityevent as events
        where events.assignment_id = assignments.id and events.event_date = %s
        """,
        (day + timedelta(days=1),),
    )
    connection.execute(
        """
        insert into inventory_feedingevent (
            feeding_date, feeding_time, amount_kg, batch_biomass_kg, method, notes, created_at,
            updated_at, batch_id, batch_assignment_id, container_id, feed_id
        )
        select
            feeding_date + 1, feeding_time, amount_kg, batch_biomass_kg, method, notes, now(),
            now(), batch_id, batch_assignment_id, container_id, feed_id
        from inventory_feedingevent
        where feeding_date = %s
        """,
        (day,),
    )
