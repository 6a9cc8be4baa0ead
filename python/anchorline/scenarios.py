"""Which scenario a batch follows: the pins in the operational system's own table of batches.

Newer instances pin a projection run (`pinned_projection_run_id`), older ones a scenario
(`pinned_scenario_id`); a pinned run is followed before a pinned scenario. The next refresh grows
the batch by the scenario that is pinned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, LiteralString

from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedColumn, UndefinedTable
from psycopg.rows import dict_row

from anchorline import hints, settings
from anchorline.errors import AnchorlineError
from anchorline.explain.find import LARGEST_ID, fold, suggestions
from anchorline.marts import schema_of_raw_tables
from anchorline.raw.sources import project_variable

RUN_PIN: Final = "pinned_projection_run_id"
SCENARIO_PIN: Final = "pinned_scenario_id"
PINS: Final = (RUN_PIN, SCENARIO_PIN)
RUN_TABLE: Final = "scenario_projection_run"


@dataclass(frozen=True)
class Batch:
    """A batch, and what it is pinned to."""

    batch_id: int
    batch_number: str
    pinned_projection_run_id: int | None
    pinned_scenario_id: int | None

    @property
    def is_pinned(self) -> bool:
        """Whether it is pinned to anything."""
        return self.pinned_projection_run_id is not None or self.pinned_scenario_id is not None


@dataclass(frozen=True)
class Scenario:
    """A scenario, as the operational system has it."""

    scenario_id: int
    scenario_name: str
    batch_id: int | None
    batch_number: str | None
    start_date: date | None
    projection_run_ids: tuple[int, ...]
    is_pinned: bool
    """Whether the batch is pinned to it, or to one of its runs."""

    def __str__(self) -> str:
        """Write id and name, for lists."""
        return f"id:{self.scenario_id}  {self.scenario_name}"


@dataclass(frozen=True)
class Change:
    """A pin that was set or taken away, or would be."""

    batch: Batch
    scenario: Scenario | None
    """What the batch is pinned to from now on; None: nothing."""
    projection_run_id: int | None
    """The run that stands for the scenario, where the instance pins runs."""
    is_new: bool
    """Whether it was not so before."""


class Scenarios:
    """The scenarios and pins of one target's raw tables; each call is one transaction."""

    def __init__(self, connection: Connection, target: str) -> None:
        self._connection = connection
        self._target = target
        self._raw_schema = schema_of_raw_tables(
            connection, settings.layer_schema("staging", target)
        ) or project_variable("raw_schema", "public")

    # -- looking -----------------------------------------------------------------------------

    def listed(self, batch: str | None = None) -> list[Scenario]:
        """List the scenarios of a batch, or of all batches, by batch and id."""
        with self._transaction():
            batch_id = self._batch(batch).batch_id if batch is not None else None
            return [
                scenario
                for scenario in self._scenarios()
                if batch_id is None or scenario.batch_id == batch_id
            ]

    # -- pinning -----------------------------------------------------------------------------

    def pin(self, batch: str, scenario: str, *, dry_run: bool = False) -> Change:
        """Let a batch follow one of its scenarios.

        Raises AnchorlineError where a name is unknown or ambiguous, the scenario is that of
        another batch, or the instance pins runs and the scenario has none.
        """
        with self._transaction():
            pins = self._pin_columns()
            found = self._batch(batch)
            chosen = self._scenario(scenario, found)
            values: dict[str, int | None] = dict.fromkeys(pins)
            if SCENARIO_PIN in pins:
                values[SCENARIO_PIN] = chosen.scenario_id
            else:
                values[RUN_PIN] = self._newest_run(chosen)
            is_new = self._set(found, values, dry_run=dry_run)
        return Change(found, chosen, values.get(RUN_PIN), is_new)

    def unpin(self, batch: str, *, dry_run: bool = False) -> Change:
        """Let a batch follow no pin: its first scenario counts, else the baseline."""
        with self._transaction():
            pins = self._pin_columns()
            found = self._batch(batch)
            is_new = self._set(found, dict.fromkeys(pins), dry_run=dry_run)
        return Change(found, None, None, is_new)

    def _set(self, batch: Batch, values: dict[str, int | None], *, dry_run: bool) -> bool:
        """Write the pins, unless they are so already; return whether they were not."""
        if all(getattr(batch, name) == value for name, value in values.items()):
            return False
        if not dry_run:
            assignments = sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
                for name in values
            )
            self._connection.execute(
                sql.SQL("update {} set {} where id = {}").format(
                    self._relation("batch_batch"), assignments, sql.Placeholder("batch_id")
                ),
                {**values, "batch_id": batch.batch_id},
            )
        return True

    def _newest_run(self, scenario: Scenario) -> int:
        if not scenario.projection_run_ids:
            raise AnchorlineError(
                f"Scenario {scenario.scenario_id} ({scenario.scenario_name}) has no projection "
                f"run, and these tables pin nothing else: {self._raw_schema}.batch_batch has no "
                f"column {SCENARIO_PIN}. Let the operational system compute a projection first."
            )
        return scenario.projection_run_ids[-1]

    # -- names -------------------------------------------------------------------------------

    def _batch(self, text: str) -> Batch:
        pins = self._pin_columns()
        columns = sql.SQL(", ").join(
            sql.Identifier(name)
            if name in pins
            else sql.SQL("null::bigint as {}").format(sql.Identifier(name))
            for name in PINS
        )
        rows = self._rows(
            sql.SQL("select id as batch_id, batch_number, {} from {} order by id").format(
                columns, self._relation("batch_batch")
            )
        )
        batches = [Batch(**row) for row in rows]
        found = matching(text, [(batch.batch_id, batch.batch_number) for batch in batches])
        if not found:
            near = suggestions(text, [batch.batch_number for batch in batches])
            raise AnchorlineError(
                f"There is no batch with the number or id {text!r}."
                + (f" Did you mean {', '.join(map(repr, near))}?" if near else "")
            )
        if len(found) > 1:
            raise AnchorlineError(
                f"{text!r} may be any of {len(found)} batches. Name one by its id, like "
                f"id:{found[0]}."
            )
        return next(batch for batch in batches if batch.batch_id == found[0])

    def _scenario(self, text: str, batch: Batch) -> Scenario:
        """Find one of the batch's scenarios, or one that plans no batch."""
        everything = self._scenarios()
        names = {entry.scenario_id: entry.scenario_name for entry in everything}
        ids = matching(text, list(names.items()))
        chosen = [entry for entry in everything if entry.scenario_id in ids]
        own = [entry for entry in chosen if entry.batch_id == batch.batch_id] or [
            entry for entry in chosen if entry.batch_id is None
        ]
        of_batch = [entry for entry in everything if entry.batch_id == batch.batch_id]
        details = "\n".join(map(str, of_batch)) or None
        if len(own) > 1:
            raise AnchorlineError(
                f"{text!r} may be any of {len(own)} scenarios. Name one by its id, like "
                f"id:{own[0].scenario_id}.",
                details="\n".join(map(str, own)),
            )
        if own:
            return own[0]
        if chosen:
            other = chosen[0]
            raise AnchorlineError(
                f"Scenario {other.scenario_id} ({other.scenario_name}) is one of batch "
                f"{other.batch_number or other.batch_id}, not of {batch.batch_number}."
                + (
                    " The batch has these:"
                    if of_batch
                    else f" {batch.batch_number} has no scenario."
                ),
                details=details,
            )
        near = suggestions(text, [entry.scenario_name for entry in of_batch])
        raise AnchorlineError(
            f"Batch {batch.batch_number} has no scenario with the name or id {text!r}."
            + (f" Did you mean {', '.join(map(repr, near))}?" if near else "")
            + (" It has these:" if of_batch else " It has none at all."),
            details=details,
        )

    # -- the queries -------------------------------------------------------------------------

    def _scenarios(self) -> list[Scenario]:
        pins = self._pin_columns()
        runs = (
            sql.SQL(
                "select scenario_id, array_agg(run_id order by run_id) as run_ids "
                "from {} group by scenario_id"
            ).format(self._relation(RUN_TABLE))
            if self._has(RUN_TABLE)
            else sql.SQL("select null::bigint as scenario_id, null::bigint[] as run_ids")
        )
        # a pinned run is followed before a pinned scenario
        followed = (
            sql.SQL("batches.{} = any(runs.run_ids)").format(sql.Identifier(RUN_PIN))
            if RUN_PIN in pins
            else sql.SQL("null::boolean")
        )
        by_scenario = (
            sql.SQL("batches.{} = scenario.scenario_id").format(sql.Identifier(SCENARIO_PIN))
            if SCENARIO_PIN in pins
            else sql.SQL("false")
        )
        if RUN_PIN in pins and SCENARIO_PIN in pins:
            by_scenario = sql.SQL("batches.{} is null and {}").format(
                sql.Identifier(RUN_PIN), by_scenario
            )
        rows = self._rows(
            sql.SQL(
                """
                select
                    scenario.scenario_id,
                    scenario.name as scenario_name,
                    scenario.batch_id,
                    batches.batch_number,
                    scenario.start_date,
                    coalesce(runs.run_ids, '{{}}') as projection_run_ids,
                    coalesce({followed}, false) or coalesce({by_scenario}, false) as is_pinned
                from {scenario} as scenario
                left join {batches} as batches on scenario.batch_id = batches.id
                left join ({runs}) as runs on scenario.scenario_id = runs.scenario_id
                order by batches.batch_number, scenario.batch_id, scenario.scenario_id
                """
            ).format(
                followed=followed,
                by_scenario=by_scenario,
                scenario=self._relation("scenario"),
                batches=self._relation("batch_batch"),
                runs=runs,
            )
        )
        return [
            Scenario(**{**row, "projection_run_ids": tuple(row["projection_run_ids"])})
            for row in rows
        ]

    def _pin_columns(self) -> list[str]:
        rows = self._rows(
            """
            select attname::text as name
            from pg_catalog.pg_attribute
            where attrelid = to_regclass(%(table)s) and attname = any(%(pins)s) and not attisdropped
            """,
            table=self._relation("batch_batch").as_string(self._connection),
            pins=list(PINS),
        )
        found = {row["name"] for row in rows}
        if not found:
            raise AnchorlineError(
                f"The table {self._raw_schema}.batch_batch of {hints.place(self._connection)} is "
                f"not there or has neither of the columns {' and '.join(PINS)}: no batch can be "
                "pinned. Each follows its first scenario."
            )
        return [name for name in PINS if name in found]

    def _has(self, table: str) -> bool:
        [row] = self._rows(
            "select to_regclass(%(table)s) is not null as is_there",
            table=self._relation(table).as_string(self._connection),
        )
        return bool(row["is_there"])

    def _relation(self, table: str) -> sql.Identifier:
        return sql.Identifier(self._raw_schema, table)

    def _rows(self, query: LiteralString | sql.Composed, **parameters: Any) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run one transaction; say in plain words what a user lacks."""
        try:
            with self._connection.transaction():
                yield
        except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
            raise AnchorlineError(
                f"The schema {self._raw_schema!r} of {hints.place(self._connection)} lacks the "
                "scenarios of the operational system. "
                f"`{hints.for_target('anchorline doctor', self._target)}` says what is missing."
            ) from error
        except InsufficientPrivilege as error:
            raise AnchorlineError(
                f"The user {self._connection.info.user!r} may not read the scenarios in "
                f"{self._raw_schema} or not set the pins of batches. Connect as one with the role "
                "writer (PGUSER); docs/roles.md says how to make one."
            ) from error


def matching(text: str, named: Sequence[tuple[int, str]]) -> list[int]:
    """Return the ids that a person can mean: an id, `id:12`, a name, else a name alike."""
    number = text.removeprefix("id:")
    wanted = int(number) if number.isascii() and number.isdigit() else None
    by_id = [key for key, _ in named if key == wanted and wanted <= LARGEST_ID]
    if text.startswith("id:") and wanted is not None:
        return by_id
    exact = [key for key, name in named if name == text or key in by_id]
    return exact or [key for key, name in named if name and fold(name) == fold(text)]
