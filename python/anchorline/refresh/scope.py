"""What a refresh has to look at: named batches, active ones, the queue, new readings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from psycopg import Connection, sql

from anchorline import settings
from anchorline.errors import AnchorlineError
from anchorline.events.queue import QueueEntry
from anchorline.events.watched import UNWATCHED, table_queries
from anchorline.raw.sources import project_variable
from anchorline.refresh.run import Scope

READINGS_REASON = "environmental_environmentalreading new"
"""The reason of queue entries that new temperature readings have made."""

OVERLAP = 10_000
"""How many ids below the highest one are looked at again: a reading with a smaller id may be
committed later than one with a greater id."""


def batches_by_number(connection: Connection, target: str, numbers: Sequence[str]) -> list[int]:
    """Return the ids of batches, by their numbers; AnchorlineError names those not known."""
    rows = connection.execute(
        sql.SQL("select batch_number, batch_id from {} where batch_number = any(%s)").format(
            _staging(target, "stg_batches")
        ),
        (list(numbers),),
    ).fetchall()
    found: dict[str, list[int]] = {}
    for number, batch_id in rows:
        found.setdefault(number, []).append(batch_id)
    missing = [number for number in numbers if number not in found]
    if missing:
        raise AnchorlineError(
            f"There is no batch {missing[0]!r} among the raw records. "
            "`anchorline summary` lists the batches."
        )
    return sorted({batch_id for ids in found.values() for batch_id in ids})


def batches_since(connection: Connection, target: str, first_day: date) -> list[int]:
    """Return the ids of the batches that hold, or held, fish on a day or later."""
    rows = connection.execute(
        sql.SQL(
            """
            select distinct batches.batch_id
            from {assignments} as assignments
            inner join {batches} as batches on assignments.batch_id = batches.batch_id
            where coalesce(assignments.departure_date, batches.actual_end_date, 'infinity') >= %s
            order by 1
            """
        ).format(
            assignments=_staging(target, "stg_assignments"),
            batches=_staging(target, "stg_batches"),
        ),
        (first_day,),
    ).fetchall()
    return [row[0] for row in rows]


def scope_of_queue(entries: Sequence[QueueEntry]) -> Scope:
    """Return what queue entries ask for: some batches, or a scan where one is not about a batch."""
    reasons = sorted({reason for entry in entries for reason in entry.reasons})
    reason = ", ".join(reasons[:5]) + (" ..." if len(reasons) > 5 else "")
    if any(entry.is_scan for entry in entries):
        return Scope("scan", reason)
    readings = [
        entry.from_date
        for entry in entries
        if READINGS_REASON in entry.reasons and entry.from_date is not None
    ]
    days = [entry.records_since for entry in entries]
    return Scope(
        "batches",
        reason,
        tuple(sorted({entry.batch_id for entry in entries if entry.batch_id is not None})),
        min(readings) if readings else None,
        None if None in days else min(filter(None, days), default=None),
    )


def tables_of(reasons: Iterable[str]) -> tuple[str, ...] | None:
    """Return the tables that reasons of queue entries speak of; None where one names no table."""
    tables = {reason.partition(" ")[0] for reason in reasons}
    return tuple(sorted(tables)) if tables <= {*table_queries(), *UNWATCHED} else None


def queue_new_readings(connection: Connection, target: str) -> int:
    """Put the batches that new temperature readings concern into the queue; return how many.

    Readings fire no trigger: they arrive by the thousands. New ones are found by their id, which
    grows; how far it was read stands in `reading_mark`, and moves on in the transaction that
    queues the batches. The first call only sets the mark: what is older, the first build knows.

    A reading reaches as far as temperatures are interpolated or held.
    """
    reach = timedelta(
        days=max(
            int(project_variable("max_interpolation_gap_days", "14")),
            int(project_variable("max_nearest_gap_days", "7")),
        )
    )
    mark = sql.Identifier(settings.layer_schema("ops", target), "reading_mark")
    readings = _staging(target, "stg_environmental_readings")
    with connection.transaction():
        row = connection.execute(
            sql.SQL("select last_reading_id, seen_ids from {} for update").format(mark)
        ).fetchone()
        if row is None:
            connection.execute(
                sql.SQL(
                    """
                    insert into {mark} (last_reading_id, seen_ids)
                    select
                        coalesce(max(last_id), 0),
                        array(
                            select reading_id from {readings}
                            where reading_id > coalesce(max(last_id), 0) - %(overlap)s
                        )
                    from (select max(reading_id) as last_id from {readings}) as newest
                    on conflict do nothing
                    """
                ).format(mark=mark, readings=readings),
                {"overlap": OVERLAP},
            )
            return 0
        last_id, seen = row
        queued = connection.execute(
            sql.SQL(
                """
                with new as materialized (
                    select reading_id, container_id, parameter_id, reading_date
                    from {readings}
                    where
                        reading_id > %(last_id)s - %(overlap)s
                        and reading_id <> all(%(seen)s::bigint[])
                ),

                marked as (
                    update {mark} set
                        last_reading_id = greatest(
                            last_reading_id, (select max(reading_id) from new)
                        ),
                        seen_ids = array(
                            select reading_id
                            from (
                                select unnest(seen_ids) as reading_id
                                union
                                select reading_id from new
                            ) as known
                            where
                                reading_id > greatest(
                                    last_reading_id, (select max(reading_id) from new)
                                ) - %(overlap)s
                        )
                    where exists (select 1 from new)
                ),

                days as (
                    select
                        new.container_id,
                        min(new.reading_date) as first_date,
                        max(new.reading_date) as last_date
                    from new
                    inner join {parameters} as parameters
                        on new.parameter_id = parameters.parameter_id
                    where parameters.parameter_key = 'temperature'
                    group by new.container_id
                )

                insert into {events} (batch_id, from_date, reason)
                select assignments.batch_id, min(days.first_date), %(reason)s
                from days
                inner join {assignments} as assignments
                    on days.container_id = assignments.container_id
                where
                    assignments.batch_id is not null
                    and assignments.assignment_date <= days.last_date + %(reach)s::integer
                    and coalesce(assignments.departure_date, 'infinity')
                    >= days.first_date - %(reach)s::integer
                group by assignments.batch_id
                """
            ).format(
                readings=readings,
                mark=mark,
                parameters=_staging(target, "stg_environmental_parameters"),
                assignments=_staging(target, "stg_assignments"),
                events=sql.Identifier(settings.layer_schema("ops", target), "change_events"),
            ),
            {
                "last_id": last_id,
                "overlap": OVERLAP,
                "seen": seen,
                "reason": READINGS_REASON,
                "reach": reach.days,
            },
        )
        return queued.rowcount


def _staging(target: str, view: str) -> sql.Identifier:
    return sql.Identifier(settings.layer_schema("staging", target), view)
