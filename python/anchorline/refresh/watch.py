"""`anchorline watch`: a process that refreshes what the queue holds, for years.

It looks every second (and is woken by notifications, where the triggers send them), waits for a
quiet moment, and refreshes just what is queued. Each night it compares the last days of all open
batches with their records. It outlives the database: when that is gone, it waits and connects
again. Nothing that matters is kept in memory: the queue, the failures and the reading mark are
tables, so that a killed process is simply started again.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final
from zoneinfo import ZoneInfo

import psycopg
from psycopg import Connection, sql

from anchorline import settings
from anchorline.connection import connect
from anchorline.errors import AnchorlineError
from anchorline.events import queue
from anchorline.events.queue import QueueEntry
from anchorline.refresh import log
from anchorline.refresh import scope as scopes
from anchorline.refresh.lock import RefreshBusyError
from anchorline.refresh.run import RefreshOutcome, Scope
from anchorline.refresh.session import RefreshSession, is_gone
from anchorline.refresh.webhook import Webhook

CHANNEL: Final = "anchorline_events"
LOOK_EVERY_SECONDS: Final = 1.0
BEAT_EVERY_SECONDS: Final = 10.0
DEAD_AFTER_SECONDS: Final = 60.0
"""A watcher whose last sign of life is older than this is taken for dead."""
LONGEST_WAIT: Final = 10
"""Events that never pause are refreshed after so many debounces."""


@dataclass(frozen=True)
class WatchOptions:
    """How the watcher works.

    `debounce_seconds`: how long the queue must be quiet; `scan_at`: local time of the nightly
    comparison of all batches with fish in the last `scan_days` days, or None; `scan_everything`:
    of all records instead; `readings_seconds`: how often new readings are looked for;
    `stale_after`: how old the oldest queue entry may become before somebody is told.
    """

    debounce_seconds: float = 5
    scan_at: time_of_day | None = time_of_day(0, 30)
    scan_days: int = 14
    scan_everything: bool = False
    readings_seconds: float = 3600
    stale_after: timedelta = timedelta(minutes=30)
    time_zone: str = "UTC"


class Watcher:
    """Refreshes a target's marts whenever its records change, until `stop` is called."""

    def __init__(
        self,
        session: RefreshSession,
        options: WatchOptions,
        *,
        webhook: Webhook | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._session = session
        self._options = options
        self._webhook = webhook
        self._tell = tell
        self._zone = ZoneInfo(options.time_zone)
        self._stopping = threading.Event()
        self._state = "starting"
        self._readings_at = 0.0
        self._told_stale_at: datetime | None = None
        self._followed: list[str] = []
        """The runs of dbt of the last refresh."""
        self._next_scan = self._scan_after(datetime.now(self._zone))

    def stop(self) -> None:
        """End after what is being done now."""
        self._stopping.set()

    def run(self) -> None:
        """Watch until stopped; a database that is gone is waited for."""
        pause = 1.0
        beat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        beat.start()
        self._session.prepare()
        try:
            while not self._stopping.is_set():
                try:
                    with connect(self._session.target, autocommit=True) as connection:
                        pause = 1.0
                        self._watch(connection)
                except (psycopg.OperationalError, psycopg.InterfaceError, AnchorlineError) as error:
                    if isinstance(error, AnchorlineError) and not isinstance(
                        error.__cause__, psycopg.OperationalError
                    ):
                        raise
                    self._state = "waiting for the database"
                    self._tell(f"The database is gone ({_first_line(error)}); trying again.")
                    self._stopping.wait(pause)
                    pause = min(pause * 2, 30.0)
        finally:
            self._state = "stopped"
            self._stopping.set()
            beat.join(timeout=5)

    def _watch(self, connection: Connection) -> None:
        connection.execute(sql.SQL("listen {}").format(sql.Identifier(CHANNEL)))
        self._state = "watching"
        while not self._stopping.is_set():
            now = datetime.now(UTC)
            if time.monotonic() >= self._readings_at:
                scopes.queue_new_readings(connection, self._session.target)
                self._readings_at = time.monotonic() + self._options.readings_seconds
            if self._next_scan is not None and now >= self._next_scan:
                if self._scan(connection):
                    self._next_scan = self._scan_after(datetime.now(self._zone))
            else:
                entries = queue.ready_events(connection, self._session.ops_schema, now)
                if entries and self._is_quiet(entries, now):
                    self._refresh(entries)
                    self._warn_of_suspects(connection)
                self._warn_of_waiting(entries, now)
            for _ in connection.notifies(timeout=LOOK_EVERY_SECONDS, stop_after=1):
                pass

    def _is_quiet(self, entries: Sequence[QueueEntry], now: datetime) -> bool:
        debounce = timedelta(seconds=self._options.debounce_seconds)
        newest = max(entry.newest_at for entry in entries)
        oldest = min(entry.oldest_at for entry in entries)
        return now - newest >= debounce or now - oldest >= LONGEST_WAIT * debounce

    def _refresh(self, entries: Sequence[QueueEntry]) -> None:
        """Refresh what is queued."""
        self._state = "refreshing"
        self._followed.clear()
        try:
            self._session.refresh_queue(
                entries,
                on_outcome=self._succeed,
                on_failure=self._fail,
                is_stopping=self._stopping.is_set,
            )
        except RefreshBusyError:
            return
        finally:
            self._state = "watching"

    def _succeed(self, outcome: RefreshOutcome) -> None:
        changes = outcome.changes
        self._followed.append(outcome.invocation_id)
        self._tell(
            f"Refreshed ({outcome.scope.reason}): {changes.assignment_count} assignments of "
            f"{len(changes.batch_ids)} batches, {outcome.row_count:,} rows, "
            f"{outcome.seconds:.1f} s."
        )
        if outcome.problems:
            self._call("Validation found something wrong", "\n".join(outcome.problems))

    def _scan(self, connection: Connection) -> bool:
        """Compare with the records, as each night; return whether it has been tried."""
        today = datetime.now(self._zone).date()
        first_day = today - timedelta(days=self._options.scan_days)
        if self._options.scan_everything:
            scope = Scope("scan", "nightly scan")
            entries = queue.read_events(connection, self._session.ops_schema)
        else:
            ids = tuple(scopes.batches_since(connection, self._session.target, first_day))
            scope = Scope("batches", f"nightly scan since {first_day}", ids, first_day)
            entries = []
        self._state = "refreshing"
        try:
            self._succeed(self._session.refresh_entries(scope, entries))
        except RefreshBusyError:
            return False
        except Exception as error:
            if is_gone(error):
                raise
            self._fail(scope, error)
        finally:
            self._state = "watching"
        return True

    def _scan_after(self, now: datetime) -> datetime | None:
        """Return the next time of the nightly scan after `now` (in the farm's time zone)."""
        if self._options.scan_at is None:
            return None
        today = datetime.combine(now.date(), self._options.scan_at, self._zone)
        following = (
            today if today > now else _next_day(now.date(), self._options.scan_at, self._zone)
        )
        return following.astimezone(UTC)

    def _fail(self, scope: Scope, error: Exception) -> None:
        details = getattr(error, "details", None)
        text = f"{error}\n{details}" if details else str(error)
        self._tell(f"A refresh has failed ({scope.reason}): {text}")
        self._call(f"A refresh has failed ({scope.reason})", text)

    def _warn_of_waiting(self, entries: Sequence[QueueEntry], now: datetime) -> None:
        oldest = min((entry.oldest_at for entry in entries), default=now)
        if now - oldest < self._options.stale_after:
            self._told_stale_at = None
        elif self._told_stale_at is None or now - self._told_stale_at > timedelta(hours=6):
            self._told_stale_at = now
            self._call(
                "The marts are behind the records",
                f"The oldest change has waited since {oldest:%Y-%m-%d %H:%M %Z}.",
            )

    def _warn_of_suspects(self, connection: Connection) -> None:
        """Tell of anchors far from the model that the last refresh has published."""
        if self._webhook is None or not log.exists(
            connection, self._session.target, "weight_anchors", layer="marts"
        ):
            return
        rows = connection.execute(
            sql.SQL(
                """
                select anchors.batch_number, anchors.container_name, anchors.anchor_date,
                    anchors.weight_g, anchors.residual_percent
                from {anchors} as anchors
                inner join {changes} as changes using (assignment_id)
                where
                    changes.invocation_id = any(%s)
                    and anchors.is_used
                    and anchors.anchor_date >= changes.from_date
                    and abs(anchors.residual_percent) > 30
                limit 5
                """
            ).format(
                anchors=sql.Identifier(
                    settings.layer_schema("marts", self._session.target), "weight_anchors"
                ),
                changes=log.ops_table(self._session.target, "int_changes"),
            ),
            (self._followed,),
        ).fetchall()
        for batch, container, day, weight, residual in rows:
            self._call(
                "An anchor is far from the model",
                f"{batch} in {container} on {day}: {weight} g, {residual:+} % from the model.",
            )

    def _call(self, title: str, text: str) -> None:
        if self._webhook is not None:
            problem = self._webhook.call(title, text)
            if problem:
                self._tell(f"The webhook could not be called: {problem}")

    def _beat(self) -> None:
        """Say every ten seconds, on a connection of its own, that the watcher is alive."""
        connection: Connection | None = None
        while True:
            try:
                if connection is None or connection.closed:
                    connection = connect(self._session.target, autocommit=True)
                _write_beat(connection, self._session.ops_schema, self._state)
            except (psycopg.Error, AnchorlineError):
                connection = None  # the watcher itself tells that the database is gone
            if self._stopping.wait(BEAT_EVERY_SECONDS):
                break
        try:
            with connect(self._session.target, autocommit=True) as last:
                _write_beat(last, self._session.ops_schema, "stopped")
        except (psycopg.Error, AnchorlineError):
            self._tell("The database does not hear that the watcher has stopped.")
        if connection is not None:
            connection.close()


@dataclass(frozen=True)
class Health:
    """What `anchorline watch --check` finds."""

    is_alive: bool
    state: str
    beat_at: datetime | None
    started_at: datetime | None
    host: str | None
    process_id: int | None
    queued_count: int
    oldest_at: datetime | None
    set_aside_count: int


def check(connection: Connection, target: str) -> Health:
    """Return whether a watcher lives, and what waits."""
    ops = settings.layer_schema("ops", target)
    row = None
    if log.exists(connection, target, "watch_status"):
        row = connection.execute(
            sql.SQL(
                "select state, beat_at, started_at, host, process_id, "
                "beat_at > clock_timestamp() - make_interval(secs => %s) from {}"
            ).format(sql.Identifier(ops, "watch_status")),
            (DEAD_AFTER_SECONDS,),
        ).fetchone()
    queued, oldest, aside = 0, None, 0
    if log.exists(connection, target, "change_events"):
        size = queue.queue_size(connection, ops)
        queued, oldest = size.event_count, size.oldest_at
        aside = sum(
            failure.set_aside_at is not None for failure in queue.read_failures(connection, ops)
        )
    if row is None:
        return Health(False, "never started", None, None, None, None, queued, oldest, aside)
    state, beat_at, started_at, host, process_id, is_fresh = row
    is_alive = bool(is_fresh) and state != "stopped"
    return Health(is_alive, state, beat_at, started_at, host, process_id, queued, oldest, aside)


def _write_beat(connection: Connection, ops_schema: str, state: str) -> None:
    connection.execute(
        sql.SQL(
            """
            insert into {status} as status (host, process_id, state)
            values (%(host)s, %(process_id)s, %(state)s)
            on conflict (is_only) do update set
                started_at = case
                    when
                        status.host = excluded.host
                        and status.process_id = excluded.process_id
                        then status.started_at
                    else clock_timestamp()
                end,
                host = excluded.host,
                process_id = excluded.process_id,
                state = excluded.state,
                beat_at = clock_timestamp()
            """
        ).format(status=sql.Identifier(ops_schema, "watch_status")),
        {"host": socket.gethostname(), "process_id": os.getpid(), "state": state},
    )


def _next_day(day: date, at: time_of_day, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), at, zone)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
