"""Suggested activities, and their way into the operational system's own plan.

The mart `suggested_activities` says what needs planning; what is published becomes a row of
`planning_plannedactivity`, with a marker in its notes. By it the mart recognises the suggestion,
and a second publication sees that the first one was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, LiteralString

from psycopg import Connection, sql
from psycopg.errors import (
    ForeignKeyViolation,
    InsufficientPrivilege,
    InvalidSchemaName,
    UndefinedColumn,
    UndefinedTable,
)
from psycopg.rows import dict_row

from anchorline import hints, settings
from anchorline.errors import AnchorlineError
from anchorline.explain.find import suggestions as names_alike
from anchorline.marts import schema_of_raw_tables
from anchorline.raw.sources import project_variable
from anchorline.scenarios import matching

ACTIVITY_TABLE: Final = "planning_plannedactivity"


def suggestion_marker(activity_template_id: int) -> str:
    """Return the line in an activity's notes that says from which template it was suggested.

    The same as the column `suggestion_marker` of the mart.
    """
    return f"[anchorline suggestion {activity_template_id}]"


@dataclass(frozen=True)
class Suggestion:
    """A row of the mart `suggested_activities`: what is to be done, when and why."""

    batch_id: int
    batch_number: str
    activity_template_id: int
    template_name: str
    activity_type: str
    scenario_id: int | None
    trigger_status: str
    triggered_date: date
    due_date: date
    notes: str
    reason: str
    planned_activity_id: int | None
    covered_by: str | None
    needs_planning: bool
    suggestion_marker: str


@dataclass(frozen=True)
class Planned:
    """A suggestion that was planned, or would be; a dry run has no id."""

    suggestion: Suggestion
    due_date: date
    planned_activity_id: int | None


@dataclass(frozen=True)
class Publication:
    """What became of the chosen suggestions."""

    planned: list[Planned]
    published_before: list[Suggestion]
    """Planned from the same suggestion since the marts were refreshed."""
    without_scenario: list[Suggestion]
    """Not planned: the operational system takes no activity without a scenario."""


class Planning:
    """The suggestions of one target, and its plan; each call is one transaction."""

    def __init__(self, connection: Connection, target: str) -> None:
        self._connection = connection
        self._target = target
        self._raw_schema = schema_of_raw_tables(
            connection, settings.layer_schema("staging", target)
        ) or project_variable("raw_schema", "public")
        self._names = {
            "marts": sql.Identifier(settings.layer_schema("marts", target)),
            "activities": sql.Identifier(self._raw_schema, ACTIVITY_TABLE),
        }

    def listed(
        self,
        batches: Sequence[str] = (),
        templates: Sequence[str] = (),
        *,
        everything: bool = False,
    ) -> list[Suggestion]:
        """List the suggestions that need planning, or all, by due date.

        Only those of the named batches and templates, where some are named.
        """
        with self._transaction():
            return self._suggestions(batches, templates, everything=everything)

    def publish(
        self,
        batches: Sequence[str] = (),
        templates: Sequence[str] = (),
        *,
        created_by: int | None,
        dry_run: bool = False,
    ) -> Publication:
        """Plan what needs planning, once each, however often and by how many it is called.

        Only for the named batches and templates, where some are named. What the marts do not
        know yet, the plan itself tells: it is looked at under a lock that whoever publishes holds
        until its rows are there.

        Raises AnchorlineError where nobody is named who plans, the operational system does not
        know them, or its plan is not there.
        """
        if created_by is None and not dry_run:
            raise AnchorlineError(
                "Nobody is named who plans these activities. Give the id of a user of the "
                "operational system: --created-by, or ANCHORLINE_ACTIVITY_CREATOR."
            )
        with self._transaction():
            self._require_plan()
            if not dry_run:
                self._one_at_a_time()
            chosen = self._suggestions(batches, templates)
            known = self._published({suggestion.batch_id for suggestion in chosen})
            before = [s for s in chosen if (s.batch_id, s.activity_template_id) in known]
            new = [s for s in chosen if s not in before]
            today = self._as_of_date()
            planned = []
            for suggestion in (s for s in new if s.scenario_id is not None):
                due_date = max(suggestion.due_date, today)
                activity_id = None
                if not dry_run:
                    activity_id = self._insert(suggestion, due_date, created_by)
                planned.append(Planned(suggestion, due_date, activity_id))
        return Publication(planned, before, [s for s in new if s.scenario_id is None])

    # -- the plan ----------------------------------------------------------------------------

    def _require_plan(self) -> None:
        [row] = self._rows(
            "select to_regclass(%(table)s) is not null as is_there",
            table=self._names["activities"].as_string(self._connection),
        )
        if not row["is_there"]:
            raise AnchorlineError(
                f"The schema {self._raw_schema!r} of {hints.place(self._connection)} has no table "
                f"{ACTIVITY_TABLE}: this instance plans no activities."
            )

    def _one_at_a_time(self) -> None:
        """Let who publishes at the same time wait, and then see what is there."""
        self._rows(
            "select pg_advisory_xact_lock(hashtext('anchorline planning'), hashtext(%(table)s))",
            table=self._names["activities"].as_string(self._connection),
        )

    def _published(self, batch_ids: Iterable[int]) -> set[tuple[int, int]]:
        """Return the batches and templates of which the plan holds a suggestion, in any status."""
        rows = self._rows(
            """
            select
                activities.batch_id,
                found.matches[1]::bigint as activity_template_id
            from {activities} as activities
            cross join lateral
                regexp_matches(activities.notes, %(pattern)s, 'g') as found (matches)
            where activities.batch_id = any(%(batch_ids)s)
            """,
            pattern=r"\[anchorline suggestion (\d{1,18})\]",
            batch_ids=list(batch_ids),
        )
        return {(row["batch_id"], row["activity_template_id"]) for row in rows}

    def _insert(self, suggestion: Suggestion, due_date: date, created_by: int | None) -> int:
        [row] = self._rows(
            """
            insert into {activities} (
                activity_type, due_date, status, notes, created_at, updated_at, batch_id,
                created_by_id, scenario_id
            )
            values (
                %(activity_type)s, %(due_date)s, 'PENDING', %(notes)s, now(), now(), %(batch_id)s,
                %(created_by)s, %(scenario_id)s
            )
            returning id
            """,
            activity_type=suggestion.activity_type,
            due_date=due_date,
            notes=f"{suggestion.notes}\n{suggestion.suggestion_marker}",
            batch_id=suggestion.batch_id,
            created_by=created_by,
            scenario_id=suggestion.scenario_id,
        )
        return int(row["id"])

    # -- the marts ---------------------------------------------------------------------------

    def _suggestions(
        self, batches: Sequence[str], templates: Sequence[str], *, everything: bool = False
    ) -> list[Suggestion]:
        columns = sql.SQL(", ").join(
            sql.Identifier(name) for name in Suggestion.__dataclass_fields__
        )
        rows = self._rows(
            """
            select {columns} from {marts}.suggested_activities
            order by due_date, batch_number, batch_id, activity_template_id
            """,
            columns=columns,
        )
        found = [Suggestion(**row) for row in rows]
        batch_ids = self._batch_ids(batches)
        template_ids = _ids(
            "activity template",
            templates,
            sorted({(s.activity_template_id, s.template_name) for s in found}),
        )
        return [
            s
            for s in found
            if (everything or s.needs_planning)
            and (not batches or s.batch_id in batch_ids)
            and (not templates or s.activity_template_id in template_ids)
        ]

    def _batch_ids(self, texts: Sequence[str]) -> set[int]:
        rows = self._rows("select batch_id, batch_number from {marts}.batches order by batch_id")
        return _ids("batch", texts, [(row["batch_id"], row["batch_number"]) for row in rows])

    def _as_of_date(self) -> date:
        [row] = self._rows(
            "select coalesce(max(state_date), current_date) as today "
            "from {marts}.daily_batch_states"
        )
        today: date = row["today"]
        return today

    # -- the database ------------------------------------------------------------------------

    def _rows(
        self, query: LiteralString, *, columns: sql.Composable | None = None, **parameters: Any
    ) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            names = self._names | ({} if columns is None else {"columns": columns})
            cursor.execute(sql.SQL(query).format(**names), parameters)
            return cursor.fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run one transaction; say in plain words what is missing."""
        try:
            with self._connection.transaction():
                yield
        except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
            raise AnchorlineError(
                f"The {hints.place(self._connection)} lacks marts or tables of this release. "
                f"Build them with `{hints.dbt_build(self._target)}`."
            ) from error
        except InsufficientPrivilege as error:
            raise AnchorlineError(
                f"The user {self._connection.info.user!r} may not read the marts or not write "
                f"planned activities into {self._raw_schema}. Connect as one with the role writer "
                "(PGUSER); docs/roles.md says how to make one."
            ) from error
        except ForeignKeyViolation as error:
            raise AnchorlineError(
                "The operational system does not know what an activity is to refer to, such as its "
                "creator or its scenario. Nothing was planned. Name a user that it knows with "
                "--created-by, and bring the marts up to date with "
                f"`{hints.for_target('anchorline refresh', self._target)}`."
            ) from error


def _ids(kind: str, texts: Sequence[str], named: Sequence[tuple[int, str]]) -> set[int]:
    """Return the ids that people have named, each by an id, `id:12` or a name.

    Raises AnchorlineError where one is unknown or may be several.
    """
    ids = set()
    for text in texts:
        found = matching(text, named)
        if not found:
            near = names_alike(text, [name for _, name in named])
            raise AnchorlineError(
                f"There is no {kind} with the name or id {text!r}."
                + (f" Did you mean {', '.join(map(repr, near))}?" if near else "")
            )
        if len(found) > 1:
            raise AnchorlineError(
                f"{text!r} may be any of {len(found)}. Name one by its id, like id:{found[0]}."
            )
        ids.add(found[0])
    return ids
