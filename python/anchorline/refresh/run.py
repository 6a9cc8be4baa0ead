"""One refresh: the lock, dbt, what it changed, its validation, and the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

import psycopg
from psycopg import Connection

from anchorline import settings
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
    """

    mode: Mode
    reason: str
    batch_ids: tuple[int, ...] = ()
    readings_since: date | None = None
    days_since: date | None = None
    tables: tuple[str, ...] | None = None

    def variables(self) -> dict[str, Any]:
        """Return the vars that tell dbt so."""
        if self.mode != "batches":
            return {}
        given: dict[str, Any] = {"refresh_batches": sorted(self.batch_ids)}
        if self.readings_since is not None:
            given["refresh_readings_since"] = self.readings_since.isoformat()
        if self.days_since is not None:
            given["refresh_days_since"] = self.days_since.isoformat()
        return given


@dataclass(frozen=True)
class RefreshOutcome:
    """What a refresh has done."""

    scope: Scope
    changes: Changes
    row_count: int
    """Rows written into marts."""
    seconds: float
    problems: tuple[str, ...] = field(default_factory=tuple)
    """What validation found wrong; the marts are published nevertheless."""


Validate = Callable[[Connection, Changes], Sequence[str]]


class Refresher:
    """Refreshes the marts of a target; long-lived callers keep one, so that dbt stays parsed."""

    def __init__(
        self,
        target: str,
        *,
        variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda text: None,
        on_node: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.target = settings.chosen_target(target)
        self._dbt = DbtProcess(self.target, variables=variables, environment=environment)
        self._tell = tell
        self._on_node = on_node

    def close(self) -> None:
        """Remove what dbt has left in its folder."""
        self._dbt.close()

    def prepare(self) -> None:
        """Parse the project now rather than in the first refresh."""
        _ = self._dbt.manifest

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
                outcome, fingerprint, invocation_id = self._run(connection, scope, started)
                if validate is not None and outcome.changes.assignment_count:
                    self._tell("Validating what has changed")
                    outcome = RefreshOutcome(
                        scope,
                        outcome.changes,
                        outcome.row_count,
                        time.monotonic() - started,
                        tuple(validate(connection, outcome.changes)),
                    )
            except BaseException as error:
                self._note_failure(connection, refresh_id, error)
                raise
            log.close_row(
                connection,
                self.target,
                refresh_id,
                outcome="invalid" if outcome.problems else "succeeded",
                assignment_count=outcome.changes.assignment_count,
                row_count=outcome.row_count,
                from_date=outcome.changes.from_date,
                invocation_id=invocation_id,
                views_fingerprint=fingerprint,
                error="\n".join(outcome.problems) or None,
            )
            return outcome

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
    ) -> tuple[RefreshOutcome, str | None, str]:
        fingerprint = self._dbt.views_fingerprint()
        with_views = (
            scope.mode == "full"
            or fingerprint != log.last_views_fingerprint(connection, self.target)
            or self._swaps_a_table(connection)
        )
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
        )
        return outcome, fingerprint if with_views else None, run.invocation_id

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

    def _note_failure(self, connection: Connection, refresh_id: int, error: BaseException) -> None:
        outcome = "failed" if isinstance(error, Exception) else "interrupted"
        text = "\n".join(part for part in (str(error), getattr(error, "details", None)) if part)
        try:
            log.close_row(
                connection, self.target, refresh_id, outcome=outcome, error=text or outcome
            )
        except psycopg.Error:
            # the server is gone: the next refresh closes the row
            self._tell("The end of this refresh could not be noted in the refresh log.")
