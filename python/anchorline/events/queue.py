"""The queue of changes: read merged per batch, delete what was done, remember what failed.

Writers only ever append (see `watched.py`), one row per statement and batch. What belongs
together is merged when the queue is read; and exactly the rows that were read are deleted when
their batch has been refreshed, because a row with a smaller id may be committed later.

Every function works in the caller's transaction and commits nothing. `ops_schema` is the schema
of the queue's tables, `anchorline_ops` on most targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from anchorline.errors import AnchorlineError
from anchorline.events import backoff
from anchorline.events.backoff import BackOff

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class QueueEntry:
    """All that is queued for one batch."""

    batch_id: int | None
    """None: the batch cannot be told, a scan is needed."""
    from_date: date | None
    """The earliest day of a changed record; None: from the first day on.

    States before it can change as well: a count, for one, is rebuilt from later records.
    """
    records_since: date | None
    """The same, without changes of assignments: who was where is compared for all days."""
    reasons: tuple[str, ...]
    """Which tables were written to and how, such as `batch_growthsample insert`."""
    event_ids: tuple[int, ...]
    oldest_at: datetime
    newest_at: datetime

    @property
    def is_scan(self) -> bool:
        """Whether only a scan finds what has changed."""
        return self.batch_id is None


@dataclass(frozen=True)
class EventFailure:
    """A batch whose last refresh has failed; a null batch is a scan."""

    batch_id: int | None
    from_date: date | None
    """Of the entry that was set aside; while it is still to be tried, that of the last attempt."""
    reasons: tuple[str, ...]
    attempt_count: int
    first_failed_at: datetime
    last_failed_at: datetime
    next_attempt_at: datetime | None
    """None once it is set aside."""
    last_error: str
    set_aside_at: datetime | None


def read_events(conn: Connection, ops_schema: str) -> list[QueueEntry]:
    """Return what is queued, merged per batch, the longest waiting first."""
    return _entries(conn, ops_schema, sql.SQL("true"), {})


def ready_events(conn: Connection, ops_schema: str, now: datetime) -> list[QueueEntry]:
    """Return what is queued, without the batches whose next attempt is later than `now`.

    A batch that is set aside is tried once for each new event: somebody may have put its
    records right.
    """
    later = sql.SQL(
        """
        not exists (
            select from {failures} as failures
            where
                failures.batch_id is not distinct from events.batch_id
                and failures.next_attempt_at > %(now)s
        )
        """
    ).format(failures=_failures(ops_schema))
    return _entries(conn, ops_schema, later, {"now": now})


def _entries(
    conn: Connection, ops_schema: str, condition: sql.Composable, parameters: dict[str, Any]
) -> list[QueueEntry]:
    query = sql.SQL(
        """
        select
            events.batch_id,
            case when bool_and(events.from_date is not null) then min(events.from_date) end
                as from_date,
            case
                when bool_and(events.from_date is not null or {is_of_assignments})
                    then coalesce(
                        min(events.from_date) filter (where not {is_of_assignments}),
                        current_date
                    )
            end as records_since,
            array_agg(distinct events.reason order by events.reason) as reasons,
            array_agg(events.event_id order by events.event_id) as event_ids,
            min(events.occurred_at) as oldest_at,
            max(events.occurred_at) as newest_at
        from {events} as events
        where {condition}
        group by events.batch_id
        order by oldest_at, events.batch_id
        """
    ).format(
        events=_events(ops_schema),
        condition=condition,
        is_of_assignments=sql.SQL("starts_with(events.reason, 'batch_batchcontainerassignment ')"),
    )
    rows = conn.execute(query, parameters).fetchall()
    return [
        QueueEntry(
            batch_id, from_date, since, tuple(reasons), tuple(event_ids), oldest_at, newest_at
        )
        for batch_id, from_date, since, reasons, event_ids, oldest_at, newest_at in rows
    ]


def delete_events(conn: Connection, ops_schema: str, event_ids: Sequence[int]) -> int:
    """Delete exactly these rows of the queue; return how many were there."""
    query = sql.SQL("delete from {} where event_id = any(%s)").format(_events(ops_schema))
    return conn.execute(query, (list(event_ids),)).rowcount


def record_success(conn: Connection, ops_schema: str, entries: Iterable[QueueEntry]) -> None:
    """Take entries off the queue, and forget the failures of their batches.

    A scan has refreshed every batch: after one, every failure is forgotten.
    """
    done = list(entries)
    delete_events(conn, ops_schema, [number for entry in done for number in entry.event_ids])
    condition = sql.SQL("true" if any(entry.is_scan for entry in done) else "batch_id = any(%s)")
    query = sql.SQL("delete from {} where ").format(_failures(ops_schema)) + condition
    if any(entry.is_scan for entry in done):
        conn.execute(query)
    else:
        conn.execute(query, ([entry.batch_id for entry in done],))


def record_failure(
    conn: Connection,
    ops_schema: str,
    entry: QueueEntry,
    error: str,
    now: datetime,
    *,
    policy: BackOff = backoff.DEFAULT,
) -> EventFailure:
    """Note that the refresh of an entry has failed at `now`: it waits, or is set aside.

    While it waits its rows stay in the queue, and new ones of its batch wait with them.
    """
    known = _failure(conn, ops_schema, entry.batch_id)
    attempt_count = (known.attempt_count if known else 0) + 1
    next_attempt_at = policy.next_attempt_at(attempt_count, now)
    if next_attempt_at is None or (known and known.set_aside_at):
        return set_aside(conn, ops_schema, entry, error, now)
    return _write_failure(conn, ops_schema, entry, known, error, now, next_attempt_at)


def set_aside(
    conn: Connection, ops_schema: str, entry: QueueEntry, error: str, now: datetime
) -> EventFailure:
    """Move an entry from the queue to the failures, where it stays until somebody retries it."""
    known = _failure(conn, ops_schema, entry.batch_id)
    delete_events(conn, ops_schema, entry.event_ids)
    return _write_failure(conn, ops_schema, entry, known, error, now, None)


def _write_failure(
    conn: Connection,
    ops_schema: str,
    entry: QueueEntry,
    known: EventFailure | None,
    error: str,
    now: datetime,
    next_attempt_at: datetime | None,
) -> EventFailure:
    from_date, reasons = entry.from_date, set(entry.reasons)
    if known and known.set_aside_at:
        # the queue holds only what came after that
        days = (known.from_date, entry.from_date)
        from_date = None if None in days else min(day for day in days if day is not None)
        reasons |= set(known.reasons)
    failure = EventFailure(
        batch_id=entry.batch_id,
        from_date=from_date,
        reasons=tuple(sorted(reasons)),
        attempt_count=(known.attempt_count if known else 0) + 1,
        first_failed_at=known.first_failed_at if known else now,
        last_failed_at=now,
        next_attempt_at=next_attempt_at,
        last_error=error,
        set_aside_at=None if next_attempt_at else now,
    )
    conn.execute(
        sql.SQL(
            """
            insert into {} (
                batch_id, from_date, reasons, attempt_count, first_failed_at, last_failed_at,
                next_attempt_at, last_error, set_aside_at
            )
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (batch_id) do update set
                from_date = excluded.from_date,
                reasons = excluded.reasons,
                attempt_count = excluded.attempt_count,
                last_failed_at = excluded.last_failed_at,
                next_attempt_at = excluded.next_attempt_at,
                last_error = excluded.last_error,
                set_aside_at = excluded.set_aside_at
            """
        ).format(_failures(ops_schema)),
        (
            failure.batch_id,
            failure.from_date,
            list(failure.reasons),
            failure.attempt_count,
            failure.first_failed_at,
            failure.last_failed_at,
            failure.next_attempt_at,
            failure.last_error,
            failure.set_aside_at,
        ),
    )
    return failure


def read_failures(conn: Connection, ops_schema: str) -> list[EventFailure]:
    """Return the failures, those that are set aside first."""
    return _read_failures(
        conn, ops_schema, sql.SQL("order by set_aside_at, next_attempt_at, batch_id"), ()
    )


def _failure(conn: Connection, ops_schema: str, batch_id: int | None) -> EventFailure | None:
    condition = sql.SQL("where batch_id is not distinct from %s")
    failures = _read_failures(conn, ops_schema, condition, (batch_id,))
    return failures[0] if failures else None


def _read_failures(
    conn: Connection, ops_schema: str, ending: sql.Composable, parameters: tuple[Any, ...]
) -> list[EventFailure]:
    query = sql.SQL(
        """
        select
            batch_id, from_date, reasons, attempt_count, first_failed_at, last_failed_at,
            next_attempt_at, last_error, set_aside_at
        from {}
        """
    ).format(_failures(ops_schema))
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query + ending, parameters).fetchall()
    return [EventFailure(**row | {"reasons": tuple(row["reasons"])}) for row in rows]


def retry(conn: Connection, ops_schema: str, batch_id: int | None) -> EventFailure:
    """Let a batch (None: a scan) that has failed be ready at once, with all its attempts.

    Raises AnchorlineError where nothing has failed for it.
    """
    failure = _failure(conn, ops_schema, batch_id)
    if failure is None:
        whose = "a scan" if batch_id is None else f"the batch with the id {batch_id}"
        raise AnchorlineError(
            f"No refresh of {whose} has failed. `anchorline events status` lists those that have."
        )
    if failure.set_aside_at:
        for reason in failure.reasons:
            conn.execute(
                sql.SQL("insert into {} (batch_id, from_date, reason) values (%s, %s, %s)").format(
                    _events(ops_schema)
                ),
                (batch_id, failure.from_date, reason),
            )
    # the failure stays known until a refresh has succeeded: so that it catches up on what others
    # have passed over
    conn.execute(
        sql.SQL(
            "update {} set attempt_count = 0, next_attempt_at = last_failed_at, "
            "set_aside_at = null where batch_id is not distinct from %s"
        ).format(_failures(ops_schema)),
        (batch_id,),
    )
    return failure


@dataclass(frozen=True)
class QueueSize:
    """How much is queued."""

    event_count: int
    batch_count: int
    needs_scan: bool
    oldest_at: datetime | None


def queue_size(conn: Connection, ops_schema: str) -> QueueSize:
    """Return how much is queued, and since when."""
    row = conn.execute(
        sql.SQL(
            """
            select
                count(*), count(distinct batch_id), coalesce(bool_or(batch_id is null), false),
                min(occurred_at)
            from {}
            """
        ).format(_events(ops_schema))
    ).fetchone()
    return QueueSize(*row) if row else QueueSize(0, 0, needs_scan=False, oldest_at=None)


def _events(ops_schema: str) -> sql.Identifier:
    return sql.Identifier(ops_schema, "change_events")


def _failures(ops_schema: str) -> sql.Identifier:
    return sql.Identifier(ops_schema, "event_failures")
