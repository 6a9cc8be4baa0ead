"""A refresh from beginning to end: what to look at, the run, and what becomes of the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg import Connection

from anchorline import settings
from anchorline.connection import connect
from anchorline.database import project_server
from anchorline.errors import AnchorlineError
from anchorline.events import queue
from anchorline.events.queue import QueueEntry
from anchorline.refresh import log
from anchorline.refresh import scope as scopes
from anchorline.refresh.lock import RefreshBusyError
from anchorline.refresh.log import Changes
from anchorline.refresh.run import (
    Refresher,
    RefreshError,
    RefreshOutcome,
    Scope,
    Validate,
    together,
)
from anchorline.refresh.runners import Runners


class RefreshSession:
    """Refreshes of one target, from one process."""

    def __init__(
        self,
        target: str,
        *,
        variables: Mapping[str, Any] | None = None,
        tell: Callable[[str], None] = lambda text: None,
        on_node: Callable[[str, int, int], None] | None = None,
        validate: Validate | None = None,
        runners: int = 1,
    ) -> None:
        self.target = settings.chosen_target(target)
        self.ops_schema = settings.layer_schema("ops", self.target)
        self._tell = tell
        self._variables = dict(variables or {})
        self._validate = validate
        embedded = self.target == settings.TARGETS[0]
        self._refresher = Refresher(
            self.target,
            variables=variables,
            environment=project_server().environment() if embedded else None,
            tell=tell,
            on_node=on_node,
        )
        self._runners = Runners(self._refresher, runners) if runners > 1 else None

    def close(self) -> None:
        """End other runners, and remove what dbt has left in its folder."""
        if self._runners is not None:
            self._runners.close()
        self._refresher.close()

    def prepare(self) -> None:
        """Parse the project now rather than in the first refresh."""
        self._refresher.prepare()

    def refresh(
        self,
        *,
        batch_numbers: Sequence[str] = (),
        first_day: date | None = None,
        scan: bool = False,
        full: bool = False,
        wait_seconds: float = 0,
        validate: bool = True,
    ) -> RefreshOutcome | None:
        """Refresh what is asked for, by default what the queue holds; None: nothing to do."""
        with connect(self.target, autocommit=True) as connection:
            scope, entries = self._scope(connection, batch_numbers, first_day, scan=scan, full=full)
        if scope is None:
            return None
        if scope != scopes.scope_of_queue(entries) or len(entries) == 1:
            return self.refresh_entries(
                scope, entries, wait_seconds=wait_seconds, validate=validate
            )
        started = time.monotonic()
        outcomes: list[RefreshOutcome] = []
        failures: list[tuple[Scope, Exception]] = []
        self.refresh_queue(
            entries,
            on_outcome=outcomes.append,
            on_failure=lambda scope, error: failures.append((scope, error)),
            wait_seconds=wait_seconds,
            validate=validate,
        )
        if failures:
            raise RefreshError(
                f"Of {len(entries)} queued entries {len(failures)} could not be refreshed; the "
                "others are. `anchorline events status` tells which, and when they come again.",
                details="\n".join(
                    f"batches {list(scope.batch_ids)}: {getattr(error, 'details', None) or error}"
                    for scope, error in failures
                ),
            )
        return together(outcomes, time.monotonic() - started)

    def refresh_queue(
        self,
        entries: Sequence[QueueEntry],
        *,
        on_outcome: Callable[[RefreshOutcome], object],
        on_failure: Callable[[Scope, Exception], object],
        is_stopping: Callable[[], bool] = lambda: False,
        wait_seconds: float = 0,
        validate: bool = True,
    ) -> None:
        """Refresh queue entries together; where that fails, each alone: one stops no other.

        Where there are several runners, they begin, and one does together what they have left.
        Raises RefreshBusyError, and what says that the database is gone; other errors are handed
        on, and the entry is marked as failed.
        """
        left = list(entries)
        if self._runners is not None and not any(entry.is_scan for entry in left):
            left = self._refresh_shares(
                self._runners, left, on_outcome, wait_seconds=wait_seconds, validate=validate
            )
        waiting = [[*left], *([entry] for entry in left if len(left) > 1)] if left else []
        for some in waiting:
            if is_stopping():
                return
            scope = scopes.scope_of_queue(some)
            is_first_of_many = len(some) > 1
            try:
                outcome = self.refresh_entries(
                    scope,
                    some,
                    wait_seconds=wait_seconds,
                    validate=validate,
                    note_failure=not is_first_of_many,
                )
            except RefreshBusyError:
                raise
            except Exception as error:
                if is_gone(error):
                    raise
                if is_first_of_many:
                    self._tell(f"Refreshing {len(some)} batches together failed: one by one now.")
                else:
                    on_failure(scope, error)
                continue
            on_outcome(outcome)
            if is_first_of_many:
                return

    def _refresh_shares(
        self,
        runners: Runners,
        entries: Sequence[QueueEntry],
        on_outcome: Callable[[RefreshOutcome], object],
        *,
        wait_seconds: float,
        validate: bool,
    ) -> list[QueueEntry]:
        """Refresh queue entries by several runners; return those that are left for one."""
        done: list[QueueEntry] = []
        for share, outcome in runners.refresh(
            entries,
            self._changed_tables(),
            wait_seconds=wait_seconds,
            validate=self._validate if validate else None,
        ):
            if isinstance(outcome, RefreshOutcome):
                with connect(self.target) as connection:
                    queue.record_success(connection, self.ops_schema, share.entries)
                done += share.entries
                on_outcome(outcome)
            else:
                details = getattr(outcome, "details", None) or outcome
                self._tell(f"One of several runners failed, one does its share again: {details}")
        return [entry for entry in entries if entry not in done]

    def refresh_entries(
        self,
        scope: Scope,
        entries: Sequence[QueueEntry],
        *,
        wait_seconds: float = 0,
        validate: bool = True,
        note_failure: bool = True,
    ) -> RefreshOutcome:
        """Refresh a scope; queue entries that it covers are taken off, or marked as failed."""
        if scope == scopes.scope_of_queue(entries):
            scope = replace(scope, tables=self._changed_tables())
        try:
            outcome = self._refresher.refresh(
                scope,
                wait_seconds=wait_seconds,
                validate=self._validate if validate else None,
            )
        except RefreshBusyError:
            raise
        except Exception as error:
            if note_failure:
                self._note_failed(entries, str(getattr(error, "details", None) or error))
            raise
        if entries:
            with connect(self.target) as connection:
                queue.record_success(connection, self.ops_schema, entries)
        return outcome

    def preview(
        self,
        *,
        batch_numbers: Sequence[str] = (),
        first_day: date | None = None,
        scan: bool = False,
        full: bool = False,
    ) -> tuple[Changes, Scope]:
        """Return what a refresh would compute again, and what it would look at."""
        with connect(self.target, autocommit=True) as connection:
            scope, _ = self._scope(connection, batch_numbers, first_day, scan=scan, full=full)
        if scope is None:
            return log.NO_CHANGES, Scope("batches", "nothing is queued")
        return self._refresher.preview(scope), scope

    def _scope(
        self,
        connection: Connection,
        batch_numbers: Sequence[str],
        first_day: date | None,
        *,
        scan: bool,
        full: bool,
    ) -> tuple[Scope | None, list[QueueEntry]]:
        is_built = log.exists(connection, self.target, "published") and log.exists(
            connection, self.target, "stg_batches", layer="staging"
        )
        queued = self._queued(connection) if is_built else []
        if full or not is_built:
            reason = "full refresh" if full else "first build"
            return Scope("full" if full else "scan", reason), queued
        if scan:
            return Scope("scan", "scan"), queued
        if batch_numbers:
            ids = scopes.batches_by_number(connection, self.target, batch_numbers)
            named = [entry for entry in queued if entry.batch_id in ids]
            reason = "batch " + ", ".join(batch_numbers)
            return Scope("batches", reason, tuple(ids), self._readings(named)), named
        if first_day is not None:
            ids = scopes.batches_since(connection, self.target, first_day)
            named = [entry for entry in queued if entry.batch_id in ids]
            since = min(filter(None, [first_day, self._readings(named)]))
            days = min([first_day, *(entry.records_since or date.min for entry in named)])
            return Scope("batches", f"since {first_day}", tuple(ids), since, days), named
        if not self._has_triggers(connection):
            self._tell(
                "No triggers tell what has changed (`anchorline events install` makes them): "
                "comparing all records."
            )
            return Scope("scan", "scan: no triggers are installed"), queued
        scopes.queue_new_readings(connection, self.target)
        entries = queue.ready_events(connection, self.ops_schema, datetime.now(UTC))
        return (scopes.scope_of_queue(entries), entries) if entries else (None, [])

    def _changed_tables(self) -> tuple[str, ...] | None:
        """Return the raw tables of which the queue says that they have changed, for any batch."""
        with connect(self.target, autocommit=True) as connection:
            events = queue.read_events(connection, self.ops_schema)
            failures = queue.read_failures(connection, self.ops_schema)
        reasons = {reason for entry in events for reason in entry.reasons}
        return scopes.tables_of(reasons.union(*(failure.reasons for failure in failures)))

    def _queued(self, connection: Connection) -> list[QueueEntry]:
        if not log.exists(connection, self.target, "change_events"):
            return []
        return queue.read_events(connection, self.ops_schema)

    @staticmethod
    def _readings(entries: Sequence[QueueEntry]) -> date | None:
        return scopes.scope_of_queue(entries).readings_since if entries else None

    def _has_triggers(self, connection: Connection) -> bool:
        from anchorline.events.install import examine, project_place

        given = self._variables
        place = project_place(self.target, given.get("raw_schema"), given.get("timezone"))
        return examine(connection, place).is_complete

    def require_triggers(self) -> None:
        """Raise AnchorlineError where no triggers, or not all of them, tell what changes."""
        with connect(self.target, autocommit=True) as connection:
            if not self._has_triggers(connection):
                raise AnchorlineError(
                    "The triggers that tell what has changed are not all there. Run "
                    "`anchorline events install` as the owner of the raw tables; "
                    "`anchorline events status` says what is missing."
                )

    def _note_failed(self, entries: Sequence[QueueEntry], error: str) -> None:
        try:
            with connect(self.target) as connection:
                for entry in entries:
                    queue.record_failure(
                        connection, self.ops_schema, entry, error, datetime.now(UTC)
                    )
        except Exception as lost:
            self._tell(f"The failure could not be noted in the queue: {lost}")


def is_gone(error: BaseException) -> bool:
    """Return whether an error says that the connection to the database is lost."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
            return True
        cause = cause.__cause__
    return False
