"""One refresh: the lock, dbt, what it changed, its validation, and the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Literal

import psycopg
from psycopg import Connection

from anchorline import settings
from anchorline.connection import connect
from anchorline.errors import AnchorlineError
from anchorline.refresh import log
from anchorline.refresh.dbt_process import DbtProcess, DbtRun
from anchorline.refresh.lock import refresh_lock
from anchorline.refresh.log import Changes
from anchorline.refresh.temperatures import aggregate_readings

A_DAY = timedelta(days=1)

Mode = Literal["full", "scan", "batches"]


class RefreshError(AnchorlineError):
    """dbt has failed; what was published before stays, and what is pending stays pending."""


@dataclass(frozen=True)
class Scope:
    """What a refresh looks at.

    `full` makes every table anew, `scan` compares all records with what is published, `batches`
    those of some batches and of all that movements tie to them. `readings_since`: with
    `batches`, the first day whose temperature readings are looked at again; None: of none.
    `days_since`: with `batches`, the day before which no record has changed; None: any may have.
    `tables`: with `batches`, the raw tables in which records have changed; None: any may have.
    `keeps_to`: with `batches`, those that nothing ties to what others refresh at the same time;
    None: nobody does.
    """

    mode: Mode
    reason: str
    batch_ids: tuple[int, ...] = ()
    readings_since: date | None = None
    days_since: date | None = None
    tables: tuple[str, ...] | None = None
    keeps_to: tuple[int, ...] | None = None

    def variables(self) -> dict[str, Any]:
        """Return the vars that tell dbt so."""
        if self.mode != "batches":
            return {}
        given: dict[str, Any] = {"refresh_batches": sorted(self.batch_ids)}
        if self.readings_since is not None:
            given["refresh_readings_since"] = self.readings_since.isoformat()
        if self.days_since is not None:
            given["refresh_days_since"] = self.days_since.isoformat()
        if self.keeps_to is not None:
            given["refresh_keeps_to"] = sorted(self.keeps_to)
        return given


@dataclass(frozen=True)
class RefreshOutcome:
    """What a refresh has done."""

    scope: Scope
    changes: Changes
    row_count: int
    """Rows written into marts."""
    seconds: float
    invocation_id: str = ""
    """The run of dbt."""
    problems: tuple[str, ...] = field(default_factory=tuple)
    """What validation found wrong; the marts are published nevertheless."""


def together(outcomes: Sequence[RefreshOutcome], seconds: float) -> RefreshOutcome:
    """Return what refreshes of different batches have done as if it were one."""
    last = outcomes[-1]
    if len(outcomes) == 1:
        return last
    changes = [outcome.changes for outcome in outcomes]
    reasons = Counter[str]()
    for found in changes:
        reasons.update(dict(found.reasons))
    return replace(
        last,
        changes=Changes(
            tuple(sorted({number for found in changes for number in found.assignment_ids})),
            tuple(sorted({number for found in changes for number in found.batch_ids})),
            min((found.from_date for found in changes if found.from_date), default=None),
            tuple(reasons.most_common()),
        ),
        row_count=sum(outcome.row_count for outcome in outcomes),
        seconds=seconds,
        problems=tuple(problem for outcome in outcomes for problem in outcome.problems),
    )


Validate = Callable[[Connection, Changes], Sequence[str]]


class Refresher:
    """Refreshes the marts of a target; long-lived callers keep one, so that dbt stays parsed."""

    def __init__(
        self,
        target: str,
        *,
        variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        manifest: Any = None,
        tell: Callable[[str], None] = lambda text: None,
        on_node: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.target = settings.chosen_target(target)
        self._dbt = DbtProcess(
            self.target, variables=variables, environment=environment, manifest=manifest
        )
        self._tell = tell
        self._on_node = on_node

    def close(self) -> None:
        """Remove what dbt has left in its folder."""
        self._dbt.close()

    def prepare(self) -> None:
        """Parse the project now rather than in the first refresh."""
        _ = self._dbt.manifest

    def made_of(self) -> dict[str, Any]:
        """Return what a refresher of another process is made of, so that it need not parse."""
        return {
            "target": self.target,
            "variables": self._dbt.variables,
            "manifest": self._dbt.manifest,
        }

    def publishing_models(self) -> list[str]:
        """Return the names of the models that follow changes."""
        return [
            node.name
            for node in self._dbt.nodes("model")
            if node.config.meta.get("published_by") is not None
        ]

    def needs_views(self, connection: Connection) -> bool:
        """Return whether the next refresh makes views anew, as after changed rules or each day."""
        return self._dbt.views_fingerprint() != log.last_views_fingerprint(
            connection, self.target
        ) or self._swaps_a_table(connection)

    def refresh(
        self,
        scope: Scope,
        *,
        wait_seconds: float = 0,
        validate: Validate | None = None,
    ) -> RefreshOutcome:
        """Bring the marts up to date with the records of the scope.

        Raises RefreshBusyError where another refresh is under way, RefreshError where dbt
        fails. Killed at any moment, it leaves whole marts: each is replaced in a transaction of
        its own, and what was not reached stays pending for the next refresh.
        """
        started = time.monotonic()
        with refresh_lock(self.target, wait_seconds=wait_seconds) as connection:
            has_log = log.exists(connection, self.target, "refresh_log")
            if has_log:
                log.close_dead_rows(connection, self.target)
            else:
                scope = Scope("scan", scope.reason) if scope.mode == "batches" else scope
                self._make_ops_tables()
            refresh_id = log.open_row(
                connection,
                self.target,
                mode=scope.mode,
                reason=scope.reason,
                batch_ids=scope.batch_ids if scope.mode == "batches" else None,
            )
            try:
                outcome, fingerprint = self._run(connection, scope, started)
                if validate is not None and outcome.changes.assignment_count:
                    self._tell("Validating what has changed")
                    problems = tuple(validate(connection, outcome.changes))
                    outcome = replace(
                        outcome, seconds=time.monotonic() - started, problems=problems
                    )
            except BaseException as error:
                self.note_failure(connection, refresh_id, error)
                raise
            self.note_outcome(connection, refresh_id, outcome, fingerprint)
            return outcome

    def refresh_share(self, scope: Scope) -> RefreshOutcome:
        """Refresh batches while others refresh others; the caller holds the lock and the log."""
        with connect(self.target, autocommit=True) as connection:
            return self._run(connection, scope, time.monotonic())[0]

    def preview(self, scope: Scope, *, wait_seconds: float = 0) -> Changes:
        """Return what a refresh of the scope would compute again, and why; no mart is touched.

        The tables before the recursion are brought up to date for it.
        """
        with refresh_lock(self.target, wait_seconds=wait_seconds) as connection:
            if not log.exists(connection, self.target, "published"):
                raise AnchorlineError(
                    "Nothing is built yet, so a refresh would build everything. "
                    "Run `anchorline refresh`."
                )
            run = self._dbt.run(
                "run",
                *("--select", "+int_changes"),
                *("--exclude", "config.materialized:view", "path:models/marts"),
                variables={**scope.variables(), "preview_changes": True},
                on_node=self._on_node,
            )
            self._check(run)
            changes = log.read_changes(
                connection, self.target, run.invocation_id, "int_changes_preview"
            )
            connection.execute(
                psycopg.sql.SQL("drop table if exists {}").format(
                    log.ops_table(self.target, "int_changes_preview")
                )
            )
            return changes

    def _run(
        self, connection: Connection, scope: Scope, started: float
    ) -> tuple[RefreshOutcome, str | None]:
        with_views = scope.mode == "full" or self.needs_views(connection)
        fingerprint = self._dbt.views_fingerprint() if with_views else None
        if with_views and scope.keeps_to is not None:
            raise RefreshError("The views must be made anew first, by one runner alone.")
        # only models are left where neither seeds nor snapshots are looked at: dbt plans a `run` of
        # them in less time than a `build`
        command = "run" if scope.mode == "batches" and not with_views else "build"
        arguments: list[str] = []
        if command == "build":
            kinds = ["test", "unit_test"]
            kinds += ["snapshot"] if scope.mode == "batches" else []
            kinds += ["seed"] if not with_views else []
            for kind in kinds:
                arguments += ["--exclude-resource-type", kind]
        if scope.mode == "full":
            arguments.append("--full-refresh")
        if not with_views:
            arguments += ["--exclude", "config.materialized:view"]
            if scope.tables is not None and log.is_covered(
                connection, self.target, scope.batch_ids
            ):
                selectors = self._dbt.selectors_behind(scope.tables)
                arguments += ["--select", *selectors] if selectors else []
        self._tell("Refreshing" + (" (views included)" if with_views else ""))
        run = self._dbt.run(command, *arguments, variables=scope.variables(), on_node=self._on_node)
        self._check(run)
        if scope.mode != "batches" or scope.readings_since is not None:
            aggregate_readings(
                connection,
                self.target,
                first_day=scope.readings_since - A_DAY if scope.readings_since else None,
                tell=self._tell,
            )
        marts = {node.name for node in self._dbt.nodes("model") if node.config.schema == "marts"}
        outcome = RefreshOutcome(
            scope,
            log.read_changes(connection, self.target, run.invocation_id),
            sum(count for name, count in run.row_counts.items() if name in marts),
            time.monotonic() - started,
            run.invocation_id,
        )
        return outcome, fingerprint

    def _check(self, run: DbtRun) -> None:
        if not run.succeeded:
            raise RefreshError(
                "dbt failed; marts behind the failure keep their former rows, and what has "
                "changed stays pending. Correct what is named below and refresh again.",
                details="\n".join(run.errors) or None,
            )

    def _make_ops_tables(self) -> None:
        """Let dbt's hook make them: any command that runs it does."""
        run = self._dbt.run("seed")
        self._check(run)

    def _swaps_a_table(self, connection: Connection) -> bool:
        """Return whether a table is absent or has other columns than its model describes.

        It is then made anew, and the views on it go with the old one.
        """
        wanted: dict[tuple[str, str], frozenset[str]] = {}
        for node in self._dbt.nodes("model"):
            if node.config.materialized == "incremental":
                wanted[node.schema, node.name] = frozenset(node.columns)
        rows = connection.execute(
            """
            select schemas.nspname, relations.relname, array_agg(columns.attname::text)
            from pg_catalog.pg_class as relations
            inner join pg_catalog.pg_namespace as schemas
                on relations.relnamespace = schemas.oid
            inner join pg_catalog.pg_attribute as columns on relations.oid = columns.attrelid
            where
                schemas.nspname = any(%s)
                and relations.relkind in ('r', 'p')
                and columns.attnum > 0
                and not columns.attisdropped
            group by 1, 2
            """,
            (sorted({schema for schema, _ in wanted}),),
        ).fetchall()
        present = {(schema, name): frozenset(columns) for schema, name, columns in rows}
        return any(present.get(relation) != columns for relation, columns in wanted.items())

    def note_outcome(
        self,
        connection: Connection,
        refresh_id: int,
        outcome: RefreshOutcome,
        views_fingerprint: str | None = None,
    ) -> None:
        """Close the row of a refresh that has come to its end."""
        log.close_row(
            connection,
            self.target,
            refresh_id,
            outcome="invalid" if outcome.problems else "succeeded",
            assignment_count=outcome.changes.assignment_count,
            row_count=outcome.row_count,
            from_date=outcome.changes.from_date,
            invocation_id=outcome.invocation_id,
            views_fingerprint=views_fingerprint,
            error="\n".join(outcome.problems) or None,
        )

    def note_failure(self, connection: Connection, refresh_id: int, error: BaseException) -> None:
        """Close the row of a refresh that has failed, or was interrupted."""
        outcome = "failed" if isinstance(error, Exception) else "interrupted"
        text = "\n".join(part for part in (str(error), getattr(error, "details", None)) if part)
        try:
            log.close_row(
                connection, self.target, refresh_id, outcome=outcome, error=text or outcome
            )
        except psycopg.Error:
            # the server is gone: the next refresh closes the row
            self._tell("The end of this refresh could not be noted in the refresh log.")
