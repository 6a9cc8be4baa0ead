"""Several runners at once: what is queued, divided by lineage, each share in a process of its own.

The caller holds the lock of the refresh, so that nobody else begins one, and takes the first share
itself. Nothing ties the batches of one share to those of another: no movement, and no container
in which both were at a time. Each runner follows the changes of its own batches and moves no mark
of what is published (see macros/incremental/several.sql); that is done here, at once, when all
have come to their end. So whatever is killed or fails, every change is pending still, and one
runner alone does again what is not known to be done.
"""

from __future__ import annotations

import multiprocessing
import os
import queue as queues
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from psycopg import Connection, sql

from anchorline import settings
from anchorline.events.queue import QueueEntry
from anchorline.refresh import log
from anchorline.refresh import scope as scopes
from anchorline.refresh.lock import refresh_lock
from anchorline.refresh.run import Refresher, RefreshError, RefreshOutcome, Scope, Validate


@dataclass(frozen=True)
class Share:
    """What one runner refreshes: queue entries, and all batches that are tied to theirs."""

    entries: tuple[QueueEntry, ...]
    scope: Scope


class Runners:
    """Processes that refresh shares, kept from one refresh to the next."""

    def __init__(self, refresher: Refresher, count: int) -> None:
        self._refresher = refresher
        self._count = count
        self._started: list[tuple[BaseProcess, Pipe]] = []

    def close(self) -> None:
        """End the processes; what they are at is cancelled."""
        for _, pipe in self._started:
            pipe.close()
        for process, _ in self._started:
            process.join(timeout=10)
            process.kill()
        self._started.clear()

    def refresh(
        self,
        entries: Sequence[QueueEntry],
        tables: tuple[str, ...] | None,
        *,
        wait_seconds: float = 0,
        validate: Validate | None = None,
    ) -> list[tuple[Share, RefreshOutcome | Exception]]:
        """Refresh what can be divided among the runners; return how each share has ended.

        None have, where one runner must see to all: views to be made anew, changes that are pending
        since an earlier refresh, or one lineage alone.
        """
        target, refresher = self._refresher.target, self._refresher
        with refresh_lock(target, wait_seconds=wait_seconds) as connection:
            log.close_dead_rows(connection, target)
            models = refresher.publishing_models()
            since = _last_change_if_published(connection, target, models)
            if since is None or refresher.needs_views(connection):
                return []
            shares = divide(connection, target, entries, self._count)
            if len(shares) < 2:
                return []
            shares = [replace(share, scope=replace(share.scope, tables=tables)) for share in shares]
            rows = [
                log.open_row(
                    connection,
                    target,
                    mode=share.scope.mode,
                    reason=share.scope.reason,
                    batch_ids=share.scope.batch_ids,
                )
                for share in shares
            ]
            ended: list[RefreshOutcome | Exception] = []
            try:
                for row, outcome in zip(rows, self._outcomes(shares), strict=True):
                    if isinstance(outcome, Exception):
                        refresher.note_failure(connection, row, outcome)
                    else:
                        if validate is not None and outcome.changes.assignment_count:
                            problems = tuple(validate(connection, outcome.changes))
                            outcome = replace(outcome, problems=problems)
                        refresher.note_outcome(connection, row, outcome)
                    ended.append(outcome)
            except BaseException as error:
                self.close()
                for row in rows[len(ended) :]:
                    refresher.note_failure(connection, row, error)
                raise
            done = [outcome for outcome in ended if isinstance(outcome, RefreshOutcome)]
            if len(done) == len(ended):
                _mark_published(
                    connection, target, models, [outcome.invocation_id for outcome in done], since
                )
            return list(zip(shares, ended, strict=True))

    def _outcomes(self, shares: Sequence[Share]) -> Iterator[RefreshOutcome | Exception]:
        """Refresh shares at once, the first one in this process; yield how each has ended."""
        pipes = self._pipes(len(shares) - 1)
        for share, pipe in zip(shares[1:], pipes, strict=True):
            with suppress(OSError):  # it has died, as its answer will tell
                pipe.send(share.scope)
        yield _outcome(self._refresher, shares[0].scope)
        for pipe in pipes:
            yield _answer(pipe)

    def _pipes(self, count: int) -> list[Pipe]:
        """Return the pipes of so many runners that live."""
        if not all(process.is_alive() for process, _ in self._started):
            self.close()
        context = multiprocessing.get_context("spawn")
        while len(self._started) < count:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_run, args=(theirs, self._refresher.made_of()), daemon=True
            )
            process.start()
            theirs.close()
            self._started.append((process, ours))
        return [pipe for _, pipe in self._started[:count]]


def divide(
    connection: Connection, target: str, entries: Iterable[QueueEntry], count: int
) -> list[Share]:
    """Divide queue entries into at most so many shares of about the same size.

    Left out are those that need a scan, and those tied to a batch whose refresh has failed: they
    are for one runner alone.
    """
    groups = _tied_batches(connection, target)
    failed = {
        batch
        for (batch,) in connection.execute(
            sql.SQL("select batch_id from {}").format(log.ops_table(target, "event_failures"))
        )
    }
    sizes: dict[int, int] = dict(
        connection.execute(
            sql.SQL("select batch_id, count(*) from {} group by batch_id").format(
                _intermediate(target, "int_assignments")
            )
        ).fetchall()
    )
    of_group: dict[frozenset[int], list[QueueEntry]] = {}
    for entry in entries:
        if entry.batch_id is not None:
            group = groups.get(entry.batch_id, frozenset([entry.batch_id]))
            if not group & failed:
                of_group.setdefault(group, []).append(entry)
    size = {group: sum(sizes.get(batch, 1) for batch in group) for group in of_group}
    bins: list[list[frozenset[int]]] = [[] for _ in range(min(count, len(of_group)))]
    for group in sorted(of_group, key=lambda group: (-size[group], min(group))):
        min(bins, key=lambda bin_: sum(map(size.__getitem__, bin_))).append(group)
    shares = []
    for bin_ in bins:
        own = tuple(entry for group in bin_ for entry in of_group[group])
        keeps_to = tuple(sorted(frozenset[int]().union(*bin_)))
        shares.append(Share(own, replace(scopes.scope_of_queue(own), keeps_to=keeps_to)))
    return shares


def _last_change_if_published(
    connection: Connection, target: str, models: Sequence[str]
) -> int | None:
    """Return the number of the last change, or None where not each of these models has it."""
    row = connection.execute(
        sql.SQL(
            """
            select newest.change_id
            from (select coalesce(max(change_id), 0) as change_id from {changes}) as newest
            cross join {published} as published
            where published.model_name = any(%s)
            group by newest.change_id
            having
                count(*) = %s
                and count(distinct rules) = 1
                and bool_and(published.change_id >= newest.change_id)
            """
        ).format(
            changes=log.ops_table(target, "int_changes"),
            published=log.ops_table(target, "published"),
        ),
        (list(models), len(models)),
    ).fetchone()
    return row[0] if row else None


def _mark_published(
    connection: Connection,
    target: str,
    models: Sequence[str],
    invocation_ids: Sequence[str],
    since: int,
) -> None:
    """Note that these models have followed all changes; not where others than these runs' are new.

    (A run of dbt beside them follows its own and theirs; until it has, all are pending.)
    """
    connection.execute(
        sql.SQL(
            """
            with announced as (
                select
                    max(change_id) as last_change_id,
                    bool_and(invocation_id = any(%(invocation_ids)s)) as is_all
                from {changes}
                where change_id > %(since)s
            )

            update {published} as published set
                change_id = greatest(published.change_id, announced.last_change_id),
                published_at = clock_timestamp()
            from announced
            where announced.is_all and published.model_name = any(%(models)s)
            """
        ).format(
            changes=log.ops_table(target, "int_changes"),
            published=log.ops_table(target, "published"),
        ),
        {"models": list(models), "invocation_ids": list(invocation_ids), "since": since},
    )


def _tied_batches(connection: Connection, target: str) -> Mapping[int, frozenset[int]]:
    """Return, for each batch that anything ties to others, all batches of its group."""
    ties = connection.execute(
        sql.SQL(
            """
            select batch_id, lineage_id from {lineages} where batch_id <> lineage_id

            union

            select sources.batch_id, dests.batch_id
            from {transfers} as transfers
            inner join {assignments} as sources
                on transfers.source_assignment_id = sources.assignment_id
            inner join {assignments} as dests
                on transfers.dest_assignment_id = dests.assignment_id
            where sources.batch_id <> dests.batch_id

            union

            -- moved to another batch
            select stored.batch_id, now_in.batch_id
            from {stored} as stored
            inner join {assignments} as now_in on stored.assignment_id = now_in.assignment_id
            where stored.batch_id <> now_in.batch_id

            union

            -- in one container at a time: its feed may be shared
            select stays.batch_id, others.batch_id
            from {stored} as stays
            inner join {stored} as others
                on
                    stays.container_id = others.container_id
                    and stays.batch_id < others.batch_id
                    and stays.assignment_date <= others.last_active_date
                    and others.assignment_date <= stays.last_active_date
            """
        ).format(
            lineages=_intermediate(target, "int_lineages"),
            stored=_intermediate(target, "int_assignments"),
            transfers=sql.Identifier(
                settings.layer_schema("staging", target), "stg_transfer_actions"
            ),
            assignments=sql.Identifier(settings.layer_schema("staging", target), "stg_assignments"),
        )
    ).fetchall()
    group_of: dict[int, set[int]] = {}
    for one, other in ties:
        joined = group_of.get(one, {one}) | group_of.get(other, {other})
        group_of.update(dict.fromkeys(joined, joined))
    return {batch: frozenset(group) for batch, group in group_of.items()}


def _intermediate(target: str, name: str) -> sql.Identifier:
    return sql.Identifier(settings.layer_schema("intermediate", target), name)


def _outcome(refresher: Refresher, scope: Scope) -> RefreshOutcome | Exception:
    try:
        return refresher.refresh_share(scope)
    except Exception as error:
        return error


def _answer(pipe: Pipe) -> RefreshOutcome | Exception:
    try:
        outcome: RefreshOutcome | tuple[str, str | None] = pipe.recv()
    except (EOFError, OSError):
        return RefreshError("A runner has died; what it was to refresh stays pending.")
    if isinstance(outcome, RefreshOutcome):
        return outcome
    return RefreshError(outcome[0], details=outcome[1])


# -- in the runner's process ---------------------------------------------------------------------


def _run(pipe: Pipe, refresher_is_made_of: dict[str, Any]) -> None:
    """Refresh what comes through the pipe until the other end is gone, and then at once end."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller, who hears it too, closes the pipe
    given: queues.SimpleQueue[Scope | None] = queues.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, given), daemon=True).start()
    with suppress(KeyboardInterrupt, BrokenPipeError):
        refresher = Refresher(**refresher_is_made_of)
        while (scope := given.get()) is not None:
            outcome = _outcome(refresher, scope)
            # not every error can be sent
            pipe.send(
                (str(outcome), getattr(outcome, "details", None))
                if isinstance(outcome, Exception)
                else outcome
            )


def _listen(pipe: Pipe, given: queues.SimpleQueue[Scope | None]) -> None:
    """Hand on what comes; when the caller is gone, cancel what is being done."""
    try:
        while True:
            given.put(pipe.recv())
    except (EOFError, OSError):
        given.put(None)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)  # dbt has cancelled its queries long before
        os._exit(1)
