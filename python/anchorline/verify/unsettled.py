"""What else lets rows differ from the records: a refresh at work, or one that is still to come."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection, sql

from anchorline import settings
from anchorline.events import queue
from anchorline.refresh import log
from anchorline.refresh.lock import is_refreshing


def server_time(connection: Connection) -> datetime:
    """Return the time of the database server."""
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 (a function returns its row)
    found: datetime = row[0]
    return found


def reasons_to_verify_again(connection: Connection, target: str, since: datetime) -> list[str]:
    """Return sentences: of refreshes since a moment, and of changes that wait for one."""
    reasons = []
    if is_refreshing(connection, target) or _has_refreshed(connection, target, since):
        reasons.append("A refresh was at work while the tables were read: verify again after it.")
    if log.exists(connection, target, "change_events"):
        waiting = queue.queue_size(connection, settings.layer_schema("ops", target))
        if waiting.event_count:
            reasons.append(
                f"Changes wait for a refresh ({waiting.event_count:,} queued): run "
                "`anchorline refresh`, and verify again."
            )
    return reasons


def _has_refreshed(connection: Connection, target: str, since: datetime) -> bool:
    if not log.exists(connection, target, "refresh_log"):
        return False
    ended = connection.execute(
        sql.SQL("select from {} where ended_at >= %s limit 1").format(
            log.ops_table(target, "refresh_log")
        ),
        (since,),
    ).fetchone()
    return ended is not None
