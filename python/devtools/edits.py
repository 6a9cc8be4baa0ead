"""Random edits of a farm's raw tables: what people and other programs do to the records.

Each edit says which batches it touches, as the farm's records name them before and after it, so
that a refresh can be limited to them. Foreign keys are dropped first (`loosen`): older instances
hold rows that point nowhere, and a record may be deleted before those that hang on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import sql

from anchorline.raw import schema as raw

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

RAW_SCHEMA: Final = "public"
EVERYTHING: Final = "everything"
"""Stands for the batches of an edit that any of them may follow: shared models, stages."""

_OF_ASSIGNMENT: Final = """
    select batch_id from public.batch_batchcontainerassignment where id = (row.{column})
"""
_IN_CONTAINER: Final = """
    select batch_id from public.batch_batchcontainerassignment
    where container_id = row.container_id
"""
_OF_SAMPLING: Final = """
    select assignments.batch_id
    from public.health_healthsamplingevent as events
    inner join public.batch_batchcontainerassignment as assignments
        on events.assignment_id = assignments.id
    where events.id = row.{column}
    union all
    select batch_id from public.health_treatment where sampling_event_id = row.{column}
"""
_OF_HARVEST: Final = """
    select assignments.batch_id
    from public.harvest_harvestevent as events
    inner join public.batch_batchcontainerassignment as assignments
        on events.assignment_id = assignments.id
    where events.id = row.{column}
"""


def _of_assignment(column: str) -> str:
    return _OF_ASSIGNMENT.format(column=column)


@dataclass(frozen=True)
class Table:
    """A table that is edited: its key, and a query of the batches that a `row` of it names."""

    key: str
    batches: str | None
    schema: str = RAW_SCHEMA


TABLES: Final[Mapping[str, Table]] = {
    "batch_batch": Table("id", "select row.id"),
    "batch_batchcontainerassignment": Table("id", "select row.batch_id"),
    "batch_growthsample": Table("id", _of_assignment("assignment_id")),
    "batch_batchtransferworkflow": Table(
        "id",
        """
        select assignments.batch_id
        from public.batch_transferaction as actions
        inner join public.batch_batchcontainerassignment as assignments
            on assignments.id in (actions.source_assignment_id, actions.dest_assignment_id)
        where actions.workflow_id = row.id
        union all
        select row.batch_id
        """,
    ),
    "batch_transferaction": Table(
        "id",
        _of_assignment("source_assignment_id") + "union all" + _of_assignment("dest_assignment_id"),
    ),
    "batch_mortalityevent": Table(
        "id", "select row.batch_id union all" + _of_assignment("assignment_id")
    ),
    "batch_creationaction": Table("id", _of_assignment("dest_assignment_id")),
    "health_mortalityrecord": Table(
        "id", "select row.batch_id union all" + _of_assignment("assignment_id")
    ),
    "health_healthsamplingevent": Table(
        "id", _of_assignment("assignment_id") + "union all" + _OF_SAMPLING.format(column="id")
    ),
    "health_individualfishobservation": Table(
        "id", _OF_SAMPLING.format(column="sampling_event_id")
    ),
    "health_treatment": Table("id", "select row.batch_id"),
    "harvest_harvestevent": Table("id", _of_assignment("assignment_id")),
    "harvest_harvestlot": Table("id", _OF_HARVEST.format(column="event_id")),
    "inventory_feedingevent": Table(
        "id",
        "select row.batch_id union all"
        + _of_assignment("batch_assignment_id")
        + "union all"
        + _IN_CONTAINER
        + "and row.batch_id is null and row.batch_assignment_id is null",
    ),
    "environmental_environmentalreading": Table("id", _IN_CONTAINER),
    "infrastructure_container": Table(
        "id",
        "select batch_id from public.batch_batchcontainerassignment where container_id = row.id",
    ),
    "batch_lifecyclestage": Table("id", EVERYTHING),
    "batch_species": Table("id", None),
    "scenario": Table("scenario_id", EVERYTHING),
    "scenario_projection_run": Table("run_id", EVERYTHING),
    "scenario_scenarioprojection": Table("projection_id", EVERYTHING),
    "scenario_scenariomodelchange": Table("change_id", EVERYTHING),
    "scenario_tgcmodel": Table("model_id", EVERYTHING),
    "scenario_tgc_model_stage": Table("id", EVERYTHING),
    "scenario_mortalitymodel": Table("model_id", EVERYTHING),
    "scenario_mortality_model_stage": Table("id", EVERYTHING),
    "scenario_stage_constraint": Table("id", EVERYTHING),
    "scenario_temperaturereading": Table("reading_id", EVERYTHING),
    "scenario_fcrmodelstage": Table("id", EVERYTHING),
    "planning_plannedactivity": Table("id", "select row.batch_id"),
    "planning_activitytemplate": Table("id", EVERYTHING),
    "broodstock_batchparentage": Table("id", "select row.batch_id"),
    "broodstock_breedingtraitpriority": Table("id", EVERYTHING),
    "calibrations": Table("calibration_id", EVERYTHING, schema="anchorline_ops"),
    "manual_anchors": Table(
        "manual_anchor_id", _of_assignment("assignment_id"), schema="anchorline_ops"
    ),
    "anchor_exclusions": Table(
        "anchor_exclusion_id",
        """
        select assignments.batch_id
        from public.batch_batchcontainerassignment as assignments
        where assignments.id = case row.anchor_type
            when 'growth_sample' then
                (select assignment_id from public.batch_growthsample where id = row.record_id)
            when 'transfer' then
                (
                    select source_assignment_id from public.batch_transferaction
                    where id = row.record_id
                )
            when 'vaccination' then
                (
                    select events.assignment_id
                    from public.health_treatment as treatments
                    inner join public.health_healthsamplingevent as events
                        on treatments.sampling_event_id = events.id
                    where treatments.id = row.record_id
                )
            when 'health_sampling' then
                (
                    select assignment_id from public.health_healthsamplingevent
                    where id = row.record_id
                )
        end
        """,
        schema="anchorline_ops",
    ),
}


@dataclass
class Edit:
    """What was done, the batches it names (None: they cannot be told), and what it undoes."""

    what: list[str] = field(default_factory=list)
    batches: set[int] | None = field(default_factory=set)
    readings_since: date | None = None
    former_rows: list[tuple[str, int, Row | None]] = field(default_factory=list)

    def __str__(self) -> str:
        """Say it in one line."""
        touched = "?" if self.batches is None else ", ".join(map(str, sorted(self.batches)))
        return "; ".join(self.what) + f" [batches {touched}]"


def loosen(connection: Connection) -> None:
    """Drop the foreign keys, and let feed name neither batch nor container."""
    raw.drop_foreign_keys(connection, RAW_SCHEMA, raw.existing_tables(connection, RAW_SCHEMA))
    for column in ("batch_id", "container_id"):
        connection.execute(
            sql.SQL(
                "alter table public.inventory_feedingevent alter column {} drop not null"
            ).format(sql.Identifier(column))
        )


def thin_out(connection: Connection, keep_one_in: int = 6) -> None:
    """Leave one reading and one feeding event of each `keep_one_in`: a farm for quick builds."""
    for table in ("environmental_environmentalreading", "inventory_feedingevent"):
        connection.execute(
            sql.SQL("delete from {} where id %% %s <> 0").format(sql.Identifier(RAW_SCHEMA, table)),
            (keep_one_in,),
        )
        connection.execute(sql.SQL("analyze {}").format(sql.Identifier(RAW_SCHEMA, table)))


class Editor:
    """Edits one database, reproducibly: the same generator and rows give the same edits."""

    def __init__(self, connection: Connection, rng: np.random.Generator, last_day: date) -> None:
        self.connection = connection
        self.rng = rng
        self.last_day = last_day
        self._edit = Edit()
        self._kinds = [(getattr(self, f"_{name}"), weight) for name, weight in _WEIGHTS.items()]

    # -- one edit -----------------------------------------------------------------------------

    def edit(self, kind: str | Callable[[], None] | None = None) -> Edit:
        """Make one random edit, of one kind, or the one given, in a transaction of its own."""
        weights = np.array([weight for _, weight in self._kinds], dtype=float)
        for _ in range(50):
            if kind is None:
                chosen = self._kinds[int(self.rng.choice(len(weights), p=weights / weights.sum()))][
                    0
                ]
            elif callable(kind):
                chosen = kind
            else:
                chosen = getattr(self, f"_{kind}")
            self._edit = Edit()
            try:
                with self.connection.transaction():
                    chosen()
            except (psycopg.IntegrityError, psycopg.DataError, NothingToEditError):
                continue
            if self._edit.what:
                self._edit.what.insert(0, chosen.__name__.removeprefix("_") + ":")
                return self._edit
        raise NothingToEditError("No edit was possible: the farm is nearly empty.")

    def undo(self, edit: Edit) -> None:
        """Put the rows of an edit back as they were."""
        with self.connection.transaction():
            for table, key, row in reversed(edit.former_rows):
                self._execute("delete from {table} where {key} = %s", table, (key,))
                if row is not None:
                    self._execute(
                        "insert into {table} select * "
                        "from jsonb_populate_record(null::{table}, %s)",
                        table,
                        (json.dumps(row),),
                    )

    # -- rows ---------------------------------------------------------------------------------

    def _execute(
        self, query: str, table: str, parameters: Sequence[Any] = (), part: str = "true"
    ) -> Any:
        """Run a query that names the {table}, its {key} and a {part} of another query."""
        meta = TABLES[table]
        return self.connection.execute(
            sql.SQL(query).format(
                table=sql.Identifier(meta.schema, table),
                key=sql.Identifier(meta.key),
                part=sql.SQL(part),
            ),
            parameters,
        )

    def _row(self, table: str, key: int) -> Row:
        row = self._execute(
            "select to_jsonb(t) from {table} as t where {key} = %s", table, (key,)
        ).fetchone()
        if row is None:
            raise NothingToEditError(f"{table} has no row {key}")
        found: Row = row[0]
        return found

    def _touch(self, table: str, key: int) -> None:
        """Note which batches the row names now."""
        query = TABLES[table].batches
        if query is None:
            self._edit.batches = None
        if self._edit.batches is None or query is None:
            return
        if query == EVERYTHING:
            found = self.connection.execute("select id from public.batch_batch").fetchall()
        else:
            found = self._execute(
                """
                select distinct named.id
                from {table} as row
                cross join lateral ({part}) as named (id)
                where row.{key} = %s and named.id is not null
                """,
                table,
                (key,),
                query,
            ).fetchall()
        if found:
            self._edit.batches.update(row[0] for row in found)
        else:
            self._edit.batches = None
        if table == "environmental_environmentalreading":
            day = date.fromisoformat(self._row(table, key)["reading_time"][:10])
            since = self._edit.readings_since
            self._edit.readings_since = min(day, since) if since else day

    def update(self, table: str, key: int, **changes: Any) -> None:
        """Change some columns of a row."""
        row = self._row(table, key)
        self._touch(table, key)
        self._edit.former_rows.append((table, key, row))
        for column, value in changes.items():
            self.connection.execute(
                sql.SQL("update {} set {} = %s where {} = %s").format(
                    sql.Identifier(TABLES[table].schema, table),
                    sql.Identifier(column),
                    sql.Identifier(TABLES[table].key),
                ),
                (value, key),
            )
        self._touch(table, key)
        said = ", ".join(f"{name} {row.get(name)} -> {value}" for name, value in changes.items())
        self._edit.what.append(f"update {table} {key}: {said}")

    def delete(self, table: str, key: int) -> None:
        """Delete a row, not what hangs on it."""
        row = self._row(table, key)
        self._touch(table, key)
        self._edit.former_rows.append((table, key, row))
        self._execute("delete from {table} where {key} = %s", table, (key,))
        self._edit.what.append(f"delete {table} {key}")

    def insert(self, table: str, like: int, **changes: Any) -> int:
        """Insert a copy of a row with some columns changed; returns its key."""
        row = self._row(table, like)
        newest = self._execute("select max({key}) from {table}", table).fetchone()[0]
        key = int(newest) + int(self.rng.integers(1, 4))
        row.update(json.loads(json.dumps(changes, default=str)))
        row[TABLES[table].key] = key
        self._execute(
            "insert into {table} select * from jsonb_populate_record(null::{table}, %s)",
            table,
            (json.dumps(row),),
        )
        self._edit.former_rows.append((table, key, None))
        self._touch(table, key)
        said = ", ".join(f"{name} {value}" for name, value in changes.items())
        self._edit.what.append(f"insert {table} {key}: {said} (like {like})")
        return key

    # -- choices ------------------------------------------------------------------------------

    def any_of(self, table: str, condition: str = "true", parameters: Sequence[Any] = ()) -> int:
        """Return the key of a random row."""
        keys = self._execute(
            "select {key} from {table} where {part} order by {key}", table, parameters, condition
        ).fetchall()
        if not keys:
            raise NothingToEditError(f"{table} has no such row")
        return int(keys[int(self.rng.integers(len(keys)))][0])

    def pick(self, *choices: Any) -> Any:
        """Return one of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, share: float) -> bool:
        """Tell whether something with this chance happens."""
        return bool(self.rng.random() < share)

    def number(self, low: int, high: int) -> int:
        """Return an integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def batch(self) -> int:
        """Return a batch that has assignments, mostly."""
        rows = self.connection.execute(
            "select distinct batch_id from public.batch_batchcontainerassignment order by 1"
        ).fetchall()
        if not rows or self.chance(0.03):
            return self.any_of("batch_batch")
        return int(rows[int(self.rng.integers(len(rows)))][0])

    def assignment(self, batch: int | None = None) -> int:
        """Return an assignment: every batch has the same chance, not every assignment."""
        return self.any_of(
            "batch_batchcontainerassignment",
            "batch_id = %s",
            (self.batch() if batch is None else batch,),
        )

    def stay(self, assignment: int) -> tuple[date, date]:
        """Return the first day of an assignment and the day after its last."""
        row = self._row("batch_batchcontainerassignment", assignment)
        first = date.fromisoformat(row["assignment_date"])
        left = row["departure_date"]
        return first, date.fromisoformat(left) if left else max(first, self.last_day) + _DAY

    def day_of(self, assignment: int) -> date:
        """Return a day of an assignment, often one at the edge or beyond it."""
        first, left = self.stay(assignment)
        inside = first + timedelta(days=self.number(0, max((left - first).days - 1, 0)))
        special = [
            first,
            first + _DAY,
            left - _DAY,
            left,
            self.last_day,
            *(
                day
                for year in range(first.year, left.year + 1)
                for day in (date(year, 12, 31), date(year, 3, 1) - _DAY)
                if first <= day < left
            ),
        ]
        if self.chance(0.06):
            special = [first - _DAY, left + _DAY, self.last_day + _DAY, first - 9 * _DAY]
            return special[self.number(0, 3)]
        day: date = self.pick(*special) if self.chance(0.35) else inside
        return day

    def event_of(self, table: str, column: str) -> int:
        """Return a row of a table that hangs on a random assignment."""
        for _ in range(8):
            try:
                return self.any_of(table, f"{column} = %s", (self.assignment(),))
            except NothingToEditError:
                continue
        return self.any_of(table)

    def weight(self, assignment: int) -> float:
        """Return a mean weight, now and then an impossible one."""
        if self.chance(0.05):
            return float(self.pick(0, -1, 60000))
        row = self.connection.execute(
            """
            select avg_weight_g from public.batch_growthsample
            where assignment_id = %s order by id limit 1
            """,
            (assignment,),
        ).fetchone()
        return round(float(row[0] if row else 100) * float(self.rng.uniform(0.5, 1.6)) + 0.01, 2)

    def an_instant(self, day: date) -> datetime:
        """Return an instant of a day, in UTC."""
        return datetime(day.year, day.month, day.day, self.number(0, 23), self.number(0, 59))

    # -- growth samples -----------------------------------------------------------------------

    def _sample_insert(self) -> None:
        assignment = self.assignment()
        self.insert(
            "batch_growthsample",
            self.any_of("batch_growthsample"),
            assignment_id=assignment,
            sample_date=self.day_of(assignment),
            avg_weight_g=self.weight(assignment),
            sample_size=self.pick(0, 1, 50, 200),
        )

    def _sample_update(self) -> None:
        sample = self.event_of("batch_growthsample", "assignment_id")
        assignment = self._row("batch_growthsample", sample)["assignment_id"]
        self.update(
            "batch_growthsample",
            sample,
            **self.pick(
                {"avg_weight_g": self.weight(assignment)},
                {"sample_date": self.day_of(assignment)},
                {"sample_size": self.number(0, 300)},
                {"std_deviation_weight": self.number(1, 30)},
                {"assignment_id": self.assignment()},
            ),
        )

    def _sample_delete(self) -> None:
        self.delete("batch_growthsample", self.event_of("batch_growthsample", "assignment_id"))

    # -- transfers ----------------------------------------------------------------------------

    def _transfer_insert(self) -> None:
        source = self.assignment()
        across = self.chance(0.4)
        dest = self.assignment(None if across else self._batch_of(source))
        if self.chance(0.1):
            dest = source
        day = self.pick(self.day_of(source), self.day_of(dest), self.stay(source)[1])
        like = self.any_of("batch_transferaction")
        self.insert(
            "batch_transferaction",
            like,
            action_number=self.number(1000, 1_000_000),
            source_assignment_id=source,
            dest_assignment_id=dest,
            actual_execution_date=day,
            status="COMPLETED",
            transferred_count=self.number(0, 3000),
            source_population_before=self.pick(None, self.number(0, 100_000))
            or self._row("batch_transferaction", like)["source_population_before"],
            mortality_during_transfer=self.pick(0, 0, 5, 5000),
        )

    def _transfer_update(self) -> None:
        action = self.event_of(
            "batch_transferaction", self.pick("source_assignment_id", "dest_assignment_id")
        )
        row = self._row("batch_transferaction", action)
        source = row["source_assignment_id"]
        self.update(
            "batch_transferaction",
            action,
            **self.pick(
                {"transferred_count": self.number(0, 20_000)},
                {"actual_execution_date": self.day_of(self._some(source))},
                {"status": self.pick("PENDING", "COMPLETED", "FAILED")},
                {
                    "measured_avg_weight_g": self.weight(self._some(source)),
                    "measured_sample_size": self.number(1, 200),
                    "selection_method": self.pick("AVERAGE", "LARGEST", "SMALLEST", "ODD", None),
                },
                {"mortality_during_transfer": self.pick(0, 3, 40, 20_000)},
                {"source_population_before": self.number(0, 150_000)},
                {"dest_assignment_id": self.assignment(self._batch_of(source))},
                {"dest_assignment_id": self.assignment()},
                {"source_assignment_id": self.assignment()},
            ),
        )

    def _transfer_delete(self) -> None:
        self.delete(
            "batch_transferaction",
            self.event_of(
                "batch_transferaction", self.pick("source_assignment_id", "dest_assignment_id")
            ),
        )

    def _lineage_join(self) -> None:
        """Let fish of one batch go into a container of another one on a day both are there."""
        row = self.connection.execute(
            """
            select sources.id, dests.id,
                greatest(sources.assignment_date, dests.assignment_date) + 1
            from public.batch_batchcontainerassignment as sources
            inner join public.batch_batchcontainerassignment as dests
                on
                    sources.batch_id <> dests.batch_id
                    and sources.assignment_date
                    < coalesce(dests.departure_date, %(last)s) - 2
                    and dests.assignment_date
                    < coalesce(sources.departure_date, %(last)s) - 2
            order by md5(sources.id || '-' || dests.id || '-' || %(salt)s) limit 1
            """,
            {"last": self.last_day, "salt": self.number(0, 10**9)},
        ).fetchone()
        if row is None:
            raise NothingToEditError("no two batches live at the same time")
        self.insert(
            "batch_transferaction",
            self.any_of("batch_transferaction"),
            action_number=self.number(1000, 1_000_000),
            source_assignment_id=row[0],
            dest_assignment_id=row[1],
            actual_execution_date=row[2],
            status="COMPLETED",
            transferred_count=self.number(1, 4000),
            mortality_during_transfer=0,
        )

    def _lineage_cut(self) -> None:
        """Delete a transfer between batches."""
        action = self.any_of(
            "batch_transferaction",
            """
            (
                select batch_id from public.batch_batchcontainerassignment as sources
                where sources.id = source_assignment_id
            ) <> (
                select batch_id from public.batch_batchcontainerassignment as dests
                where dests.id = dest_assignment_id
            )
            """,
        )
        self.delete("batch_transferaction", action)

    def _workflow_update(self) -> None:
        self.update(
            "batch_batchtransferworkflow",
            self.any_of("batch_batchtransferworkflow"),
            planned_activity_id=self.pick(None, self.number(1, 30)),
        )

    # -- treatments and health samplings ------------------------------------------------------

    def _treatment_insert(self) -> None:
        sampling = self.event_of("health_healthsamplingevent", "assignment_id")
        event = self._row("health_healthsamplingevent", sampling)
        batch = self._batch_of(event["assignment_id"])
        day = date.fromisoformat(event["sampling_date"]) + self.pick(0, 0, 1, 5) * _DAY
        self.insert(
            "health_treatment",
            self.any_of("health_treatment"),
            batch_id=self.batch() if self.chance(0.2) else batch,
            includes_weighing=self.chance(0.9),
            sampling_event_id=sampling,
            treatment_date=self.an_instant(day),
        )

    def _treatment_update(self) -> None:
        treatment = self.any_of("health_treatment")
        self.update(
            "health_treatment",
            treatment,
            **self.pick(
                {"includes_weighing": self.chance(0.5)},
                {"sampling_event_id": self.any_of("health_healthsamplingevent")},
                {"sampling_event_id": None},
                {"batch_id": self.batch()},
                {"treatment_date": self.an_instant(self.last_day - self.number(0, 400) * _DAY)},
            ),
        )

    def _treatment_delete(self) -> None:
        self.delete("health_treatment", self.any_of("health_treatment"))

    def _sampling_insert(self) -> None:
        assignment = self.assignment()
        self.insert(
            "health_healthsamplingevent",
            self.any_of("health_healthsamplingevent"),
            assignment_id=assignment,
            sampling_date=self.day_of(assignment),
            avg_weight_g=self.pick(None, self.weight(assignment)),
        )

    def _sampling_update(self) -> None:
        sampling = self.event_of("health_healthsamplingevent", "assignment_id")
        assignment = self._row("health_healthsamplingevent", sampling)["assignment_id"]
        self.update(
            "health_healthsamplingevent",
            sampling,
            **self.pick(
                {"avg_weight_g": self.weight(assignment)},
                {"sampling_date": self.day_of(self._some(assignment))},
                {"assignment_id": self.assignment()},
                {"number_of_fish_sampled": self.number(0, 100)},
            ),
        )

    def _sampling_delete(self) -> None:
        sampling = self.event_of("health_healthsamplingevent", "assignment_id")
        if self.chance(0.7):
            for fish in self._keys(
                "health_individualfishobservation", "sampling_event_id", sampling
            ):
                self.delete("health_individualfishobservation", fish)
        self.delete("health_healthsamplingevent", sampling)

    def _fish_insert(self) -> None:
        fish = self.any_of("health_individualfishobservation")
        self.insert(
            "health_individualfishobservation",
            fish,
            sampling_event_id=self.event_of("health_healthsamplingevent", "assignment_id"),
            fish_identifier=f"edit {self.number(1, 10**9)}",
            weight_g=self.pick(0, 20, 333.33, 60000, None),
        )

    def _fish_update(self) -> None:
        fish = self.any_of("health_individualfishobservation")
        self.update(
            "health_individualfishobservation",
            fish,
            **self.pick(
                {"weight_g": self.pick(0, 50, 70000, None)},
                {"sampling_event_id": self.any_of("health_healthsamplingevent")},
            ),
        )

    def _fish_delete(self) -> None:
        self.delete(
            "health_individualfishobservation", self.any_of("health_individualfishobservation")
        )

    # -- deaths -------------------------------------------------------------------------------

    def _death_insert(self) -> None:
        assignment = self.assignment()
        batch = self._batch_of(assignment)
        self.insert(
            "batch_mortalityevent",
            self.any_of("batch_mortalityevent"),
            batch_id=self.batch() if self.chance(0.03) else batch,
            assignment_id=None if self.chance(0.5) else assignment,
            event_date=self.day_of(assignment),
            count=self.pick(0, 1, 17, 500, 10_000_000, -1),
        )

    def _death_update(self) -> None:
        death = self.event_of("batch_mortalityevent", "assignment_id")
        row = self._row("batch_mortalityevent", death)
        assignment = self._some(row["assignment_id"])
        self.update(
            "batch_mortalityevent",
            death,
            **self.pick(
                {"count": self.pick(0, 3, 1000, -5)},
                {"event_date": self.day_of(assignment)},
                {"assignment_id": None},
                {"assignment_id": self.assignment(self._batch_of(assignment))},
            ),
        )

    def _death_delete(self) -> None:
        self.delete("batch_mortalityevent", self.event_of("batch_mortalityevent", "assignment_id"))

    def _death_entered_anew(self) -> None:
        """Delete a record and enter the same one again, or in two halves."""
        death = self.any_of("batch_mortalityevent", "count > 1")
        row = self._row("batch_mortalityevent", death)
        halves = [row["count"]] if self.chance(0.5) else [row["count"] // 2, -(-row["count"] // 2)]
        for count in halves:
            self.insert("batch_mortalityevent", death, count=count)
        self.delete("batch_mortalityevent", death)

    def _batch_death_outside(self) -> None:
        """Enter deaths of a batch alone, on a day on which it may not be there."""
        batch = self.batch()
        start = date.fromisoformat(self._row("batch_batch", batch)["start_date"])
        self.insert(
            "batch_mortalityevent",
            self.any_of("batch_mortalityevent"),
            batch_id=batch,
            assignment_id=None,
            event_date=self.pick(start - _DAY, start - 30 * _DAY, start, self.last_day),
            count=self.number(1, 90),
        )

    def _record_insert(self) -> None:
        assignment = self.assignment()
        row = self._row("batch_batchcontainerassignment", assignment)
        named = self.pick(
            {"assignment_id": assignment, "container_id": None},
            {"assignment_id": None, "container_id": row["container_id"]},
            {"assignment_id": None, "container_id": None},
        )
        self.insert(
            "health_mortalityrecord",
            self.any_of("health_mortalityrecord"),
            batch_id=row["batch_id"],
            event_date=self.an_instant(self.day_of(assignment)),
            count=self.pick(0, 2, 60, -1),
            **named,
        )

    def _record_update(self) -> None:
        record = self.any_of("health_mortalityrecord")
        assignment = self.assignment()
        row = self._row("batch_batchcontainerassignment", assignment)
        self.update(
            "health_mortalityrecord",
            record,
            **self.pick(
                {"count": self.number(0, 70)},
                {"event_date": self.an_instant(self.day_of(assignment))},
                {"container_id": row["container_id"], "batch_id": row["batch_id"]},
                {"assignment_id": assignment},
                {"assignment_id": None},
            ),
        )

    def _record_delete(self) -> None:
        self.delete("health_mortalityrecord", self.any_of("health_mortalityrecord"))

    # -- feed ---------------------------------------------------------------------------------

    def _feed_insert(self) -> None:
        assignment = self.assignment()
        row = self._row("batch_batchcontainerassignment", assignment)
        named = self.pick(
            {"batch_assignment_id": assignment, "batch_id": row["batch_id"]},
            {"batch_assignment_id": None, "batch_id": row["batch_id"]},
            {"batch_assignment_id": None, "batch_id": None},
        )
        self.insert(
            "inventory_feedingevent",
            self.any_of("inventory_feedingevent"),
            container_id=row["container_id"],
            feeding_date=self.day_of(assignment),
            amount_kg=self.pick(0, 1.25, 40.5, 333.3333, -1),
            **named,
        )

    def _feed_update(self) -> None:
        event = (
            self.any_of("inventory_feedingevent", "batch_id is null")
            if self.chance(0.4)
            else self.event_of("inventory_feedingevent", "batch_assignment_id")
        )
        assignment = self.assignment()
        row = self._row("batch_batchcontainerassignment", assignment)
        self.update(
            "inventory_feedingevent",
            event,
            **self.pick(
                {"amount_kg": self.pick(0, 2.5, 100, -3)},
                {"feeding_date": self.day_of(assignment)},
                {"batch_assignment_id": None},
                {"batch_assignment_id": None, "batch_id": None},
                {"container_id": row["container_id"]},
                {"batch_assignment_id": assignment},
            ),
        )

    def _feed_delete(self) -> None:
        self.delete(
            "inventory_feedingevent",
            self.any_of("inventory_feedingevent", "batch_id is null")
            if self.chance(0.4)
            else self.event_of("inventory_feedingevent", "batch_assignment_id"),
        )

    def _container_shared(self) -> None:
        """Let two batches live in one container and be fed together for some days."""
        first, second = self.assignment(), self.assignment()
        container = self._row("batch_batchcontainerassignment", first)["container_id"]
        if first == second or container is None:
            raise NothingToEditError("one assignment alone")
        self.update("batch_batchcontainerassignment", second, container_id=container)
        like = self.any_of("inventory_feedingevent")
        for _ in range(4):
            self.insert(
                "inventory_feedingevent",
                like,
                batch_id=None,
                batch_assignment_id=None,
                container_id=container,
                feeding_date=self.day_of(self.pick(first, second)),
                amount_kg=self.number(1, 80),
            )

    # -- creation and harvest -----------------------------------------------------------------

    def _creation_insert(self) -> None:
        assignment = self.assignment()
        self.insert(
            "batch_creationaction",
            self.any_of("batch_creationaction"),
            action_number=self.number(1000, 1_000_000),
            dest_assignment_id=assignment,
            actual_delivery_date=self.day_of(assignment),
            status="COMPLETED",
            egg_count_actual=self.number(0, 100_000),
            mortality_on_arrival=self.pick(0, 10),
        )

    def _creation_update(self) -> None:
        action = self.any_of("batch_creationaction")
        assignment = self._some(self._row("batch_creationaction", action)["dest_assignment_id"])
        self.update(
            "batch_creationaction",
            action,
            **self.pick(
                {"egg_count_actual": self.pick(None, self.number(-1, 200_000))},
                {"mortality_on_arrival": self.number(0, 5000)},
                {"actual_delivery_date": self.day_of(assignment)},
                {"status": self.pick("PENDING", "COMPLETED")},
                {"dest_assignment_id": self.assignment()},
            ),
        )

    def _creation_delete(self) -> None:
        self.delete("batch_creationaction", self.any_of("batch_creationaction"))

    def _harvest_insert(self) -> None:
        assignment = self.assignment()
        event = self.insert(
            "harvest_harvestevent",
            self.any_of("harvest_harvestevent"),
            assignment_id=assignment,
            batch_id=self._batch_of(assignment),
            event_date=self.an_instant(self.day_of(assignment)),
        )
        if self.chance(0.8):
            self.insert(
                "harvest_harvestlot",
                self.any_of("harvest_harvestlot"),
                event_id=event,
                unit_count=self.number(0, 5000),
            )

    def _harvest_update(self) -> None:
        if self.chance(0.5):
            event = self.any_of("harvest_harvestevent")
            assignment = self._some(self._row("harvest_harvestevent", event)["assignment_id"])
            self.update(
                "harvest_harvestevent",
                event,
                **self.pick(
                    {"event_date": self.an_instant(self.day_of(assignment))},
                    {"assignment_id": self.assignment()},
                ),
            )
        else:
            self.update(
                "harvest_harvestlot",
                self.any_of("harvest_harvestlot"),
                **self.pick(
                    {"unit_count": self.number(-1, 9000)},
                    {"event_id": self.any_of("harvest_harvestevent")},
                ),
            )

    def _harvest_delete(self) -> None:
        event = self.any_of("harvest_harvestevent")
        for lot in self._keys("harvest_harvestlot", "event_id", event):
            self.delete("harvest_harvestlot", lot)
        if self.chance(0.6):
            self.delete("harvest_harvestevent", event)

    # -- assignments and batches --------------------------------------------------------------

    def _assignment_insert(self) -> None:
        like = self.assignment()
        left = self.stay(like)[1]
        start = self.pick(self.day_of(like), left)
        departure = self.pick(None, start, start + self.number(1, 60) * _DAY, left)
        if departure is not None and departure < start:
            departure = start
        container = self.any_of("infrastructure_container")
        self.insert(
            "batch_batchcontainerassignment",
            like,
            assignment_date=start,
            departure_date=departure,
            is_active=departure is None,
            container_id=container,
            population_count=self.number(0, 9000),
            avg_weight_g=self.weight(like),
        )

    def _assignment_dates(self) -> None:
        assignment = self.assignment()
        first, left = self.stay(assignment)
        self.update(
            "batch_batchcontainerassignment",
            assignment,
            **self.pick(
                {"departure_date": max(first, left + self.number(-20, 20) * _DAY)},
                {"departure_date": None},
                {"departure_date": first},
                {"departure_date": left + self.pick(-1, 1) * _DAY},
                {"assignment_date": first + self.number(-20, 20) * _DAY},
                {"assignment_date": first + self.pick(-1, 1) * _DAY},
                {"departure_date": None, "is_active": False},
                {
                    "assignment_date": first + 3 * _DAY,
                    "departure_date": max(first, left) + 3 * _DAY,
                },
            ),
        )

    def _assignment_update(self) -> None:
        assignment = self.assignment()
        self.update(
            "batch_batchcontainerassignment",
            assignment,
            **self.pick(
                {"container_id": self.any_of("infrastructure_container")},
                {
                    "container_id": self._row("batch_batchcontainerassignment", self.assignment())[
                        "container_id"
                    ]
                },
                {"lifecycle_stage_id": self.any_of("batch_lifecyclestage")},
                {"lifecycle_stage_id": self.any_of("batch_lifecyclestage")},
                {"population_count": self.pick(0, 100, 40_000, -1)},
                {"avg_weight_g": self.pick(None, 0.2, 75, 1e6)},
                {"is_active": self.chance(0.5)},
            ),
        )

    def _assignment_moved(self) -> None:
        """Give an assignment to another batch, sometimes on other days."""
        assignment = self.assignment()
        first, left = self.stay(assignment)
        changes: dict[str, Any] = {"batch_id": self.batch()}
        if changes["batch_id"] == self._batch_of(assignment):
            raise NothingToEditError("it is of that batch")
        if self.chance(0.4):
            changes["assignment_date"] = min(left, first + self.pick(-5, 5) * _DAY)
        self.update("batch_batchcontainerassignment", assignment, **changes)

    def _assignment_delete(self) -> None:
        self._delete_assignment(self.assignment(), with_dependants=self.chance(0.7))

    def _batch_update(self) -> None:
        batch = self.batch()
        row = self._row("batch_batch", batch)
        start = date.fromisoformat(row["start_date"])
        self.update(
            "batch_batch",
            batch,
            **self.pick(
                {"start_date": start + self.pick(-10, -1, 1, 10) * _DAY},
                {"actual_end_date": self.last_day - self.number(-3, 200) * _DAY},
                {"actual_end_date": None},
                {"batch_number": f"{row['batch_number'][:30]}-{self.number(1, 99)}"},
                {"pinned_projection_run_id": self.pick(None, self.number(1, 4))},
                {"pinned_projection_run_id": self.any_of("scenario_projection_run")},
                {"species_id": self.any_of("batch_species")},
                {"status": self.pick("ACTIVE", "COMPLETED")},
            ),
        )

    def _batch_insert(self) -> None:
        like = self.batch()
        batch = self.insert(
            "batch_batch",
            like,
            batch_number=f"NEW-{self.number(1, 10**9)}",
            pinned_projection_run_id=None,
        )
        stay = self.assignment(like)
        self.insert(
            "batch_batchcontainerassignment",
            stay,
            batch_id=batch,
            container_id=self.any_of("infrastructure_container"),
        )

    def _batch_delete(self) -> None:
        batch = self.any_of(
            "batch_batch",
            """
            (
                select count(*) from public.batch_batchcontainerassignment as stays
                where stays.batch_id = batch_batch.id
            ) <= 12
            """,
        )
        if self.chance(0.7):
            for assignment in self._keys("batch_batchcontainerassignment", "batch_id", batch):
                self._delete_assignment(assignment, with_dependants=True)
        self.delete("batch_batch", batch)

    # -- sites, stages, scenarios -------------------------------------------------------------

    def _container_rename(self) -> None:
        stay = self._row("batch_batchcontainerassignment", self.assignment())
        self.update(
            "infrastructure_container", stay["container_id"], name=f"C {self.number(1, 10**6)}"
        )

    def _stage_update(self) -> None:
        stage = self.any_of("batch_lifecyclestage")
        row = self._row("batch_lifecyclestage", stage)
        self.update(
            "batch_lifecyclestage",
            stage,
            **self.pick(
                {"expected_weight_max_g": self.number(1, 3000)},
                {"expected_weight_min_g": self.number(1, 300)},
                {"name": f"{row['name'][:60]} {self.number(1, 99)}"},
                {"order": self.number(1, 200)},
            ),
        )

    def _species_rename(self) -> None:
        self.update(
            "batch_species", self.any_of("batch_species"), name=f"Fish {self.number(1, 10**6)}"
        )

    def _scenario_update(self) -> None:
        self.update(
            "scenario",
            self.any_of("scenario"),
            **self.pick(
                {"initial_weight": self.pick(None, 0.1, 5)},
                {"tgc_model_id": self.any_of("scenario_tgcmodel")},
                {"mortality_model_id": self.any_of("scenario_mortalitymodel")},
                {"mortality_model_id": 999},
                {"biological_constraints_id": self.pick(None, 1)},
                {"batch_id": self.pick(None, self.batch())},
                {"name": f"Scenario {self.number(1, 10**6)}"},
            ),
        )

    def _scenario_insert_or_delete(self) -> None:
        scenario = self.any_of("scenario")
        if self.chance(0.5):
            self.insert("scenario", scenario, batch_id=self.batch(), initial_weight=0.3)
        else:
            self.delete("scenario", scenario)

    def _model_update(self) -> None:
        table, changes = self.pick(
            ("scenario_tgcmodel", {"tgc_value": self.pick(0.0025, 2.7, 0.003)}),
            ("scenario_tgc_model_stage", {"tgc_value": self.pick(0.0021, 2.9)}),
            ("scenario_mortalitymodel", {"rate": self.pick(0.02, 0.5)}),
            ("scenario_mortalitymodel", {"frequency": self.pick("daily", "weekly")}),
            ("scenario_mortality_model_stage", {"daily_rate_percent": self.pick(0.01, 0.2)}),
            ("scenario_stage_constraint", {"max_weight_g": self.number(1, 2000)}),
            ("scenario_stage_constraint", {"min_weight_g": self.number(0, 50)}),
            ("scenario_temperaturereading", {"temperature": self.pick(4.5, 11.2, 99)}),
        )
        self.update(table, self.any_of(table), **changes)

    def _model_delete(self) -> None:
        table = self.pick(
            "scenario_tgc_model_stage",
            "scenario_mortality_model_stage",
            "scenario_stage_constraint",
            "scenario_temperaturereading",
            "scenario_scenariomodelchange",
        )
        self.delete(table, self.any_of(table))

    def _model_change(self) -> None:
        like = self.any_of("scenario_scenariomodelchange")
        changes = {
            "scenario_id": self.any_of("scenario"),
            "change_day": self.number(-5, 700),
            "new_tgc_model_id": self.pick(None, self.any_of("scenario_tgcmodel")),
            "new_mortality_model_id": self.pick(None, self.any_of("scenario_mortalitymodel")),
        }
        if self.chance(0.5):
            self.insert("scenario_scenariomodelchange", like, **changes)
        else:
            self.update("scenario_scenariomodelchange", like, **changes)

    def _projection_run(self) -> None:
        run = self.any_of("scenario_projection_run")
        if self.chance(0.5):
            self.insert(
                "scenario_projection_run",
                run,
                run_number=self.number(2, 10**6),
                scenario_id=self.any_of("scenario"),
            )
        else:
            self.update("scenario_projection_run", run, scenario_id=self.any_of("scenario"))

    def _projection_rows(self) -> None:
        """Store days of a projection run, or change or delete one that is stored."""
        run = self.any_of("scenario_projection_run")
        stored = self._keys("scenario_scenarioprojection", "projection_run_id", run)
        if stored and self.chance(0.6):
            row = self.pick(*stored)
            if self.chance(0.3):
                self.delete("scenario_scenarioprojection", row)
            else:
                self.update(
                    "scenario_scenarioprojection", row, average_weight=self.number(1, 6000) / 2
                )
            return
        stage = self.any_of("batch_lifecyclestage")
        batch = self._row("batch_batch", self.batch())
        first_day, weight = self.number(1, 300), self.number(1, 400) / 2
        for day in range(first_day, first_day + self.number(2, 30)):
            key = self._execute(
                """
                insert into {table} (
                    {key}, projection_date, day_number, average_weight, population, biomass,
                    daily_feed, cumulative_feed, temperature, created_at, updated_at,
                    current_stage_id, projection_run_id
                )
                select coalesce(max({key}), 0) + 1, %s, %s, %s, 1000, %s, 0, 0, 8, now(), now(),
                    %s, %s
                from {table}
                returning {key}
                """,
                "scenario_scenarioprojection",
                (
                    date.fromisoformat(batch["start_date"]) + timedelta(days=day - 1),
                    day,
                    weight,
                    weight,
                    stage,
                    run,
                ),
            ).fetchone()[0]
            self._edit.former_rows.append(("scenario_scenarioprojection", key, None))
            self._touch("scenario_scenarioprojection", key)
            weight *= 1.01
        self._edit.what.append(f"insert days {first_day} to {day} of run {run}")

    def _feed_model(self) -> None:
        stage = self.any_of("scenario_fcrmodelstage")
        self.update("scenario_fcrmodelstage", stage, fcr_value=self.number(70, 160) / 100)

    def _planned_activity(self) -> None:
        activity = self.any_of("planning_plannedactivity")
        if self.chance(0.2):
            self.delete("planning_plannedactivity", activity)
            return
        template = self._row("planning_activitytemplate", self.any_of("planning_activitytemplate"))
        marker = f"[anchorline suggestion {template['id']}]"
        changes = {
            "activity_type": self.pick("HARVEST", "TRANSFER", template["activity_type"]),
            "status": self.pick("PENDING", "PENDING", "IN_PROGRESS", "COMPLETED", "CANCELLED"),
            "due_date": self.last_day + timedelta(days=self.number(-20, 60)),
            "notes": self.pick(None, template["name"], f"{template['name']}\n{marker}"),
        }
        if self.chance(0.5):
            self.update("planning_plannedactivity", activity, **changes)
        else:
            self.insert("planning_plannedactivity", activity, batch_id=self.batch(), **changes)

    def _activity_completed(self) -> None:
        """Tick an activity off at about the time of a measurement."""
        table, kind = self.pick(
            ("batch_growthsample", "SAMPLING"),
            ("health_healthsamplingevent", "SAMPLING"),
            ("health_healthsamplingevent", "VACCINATION"),
        )
        measured = self._row(table, self.any_of(table))
        stay = self._row("batch_batchcontainerassignment", measured["assignment_id"])
        day = date.fromisoformat(
            measured["sample_date" if "sample_date" in measured else "sampling_date"]
        )
        changes = {
            "activity_type": kind,
            "status": self.pick("COMPLETED", "COMPLETED", "COMPLETED", "PENDING"),
            "due_date": day + timedelta(days=self.number(-5, 5)),
            "completed_at": f"{day + timedelta(days=self.number(-2, 2))}T12:00:00Z",
            "batch_id": stay["batch_id"],
            "container_id": self.pick(None, None, stay["container_id"]),
        }
        activity = self.any_of("planning_plannedactivity")
        if self.chance(0.3):
            self.update("planning_plannedactivity", activity, **changes)
        else:
            self.insert("planning_plannedactivity", activity, **changes)

    def _template(self) -> None:
        template = self.any_of("planning_activitytemplate")
        if self.chance(0.1):
            self.delete("planning_activitytemplate", template)
            return
        changes = self.pick(
            {"is_active": self.chance(0.5)},
            {"trigger_type": "DAY_OFFSET", "day_offset": self.number(0, 900)},
            {"trigger_type": "WEIGHT_THRESHOLD", "weight_threshold_g": self.number(1, 5000)},
            {
                "trigger_type": "STAGE_TRANSITION",
                "target_lifecycle_stage_id": self.any_of("batch_lifecyclestage"),
            },
        )
        if self.chance(0.7):
            self.update("planning_activitytemplate", template, **changes)
        else:
            name = f"Template {self.number(1, 1_000_000)}"
            self.insert("planning_activitytemplate", template, name=name, **changes)

    def _parents(self) -> None:
        """Change which fish a batch comes from, or what their plan is after."""
        if self.chance(0.4):
            priority = self.any_of("broodstock_breedingtraitpriority")
            weight = self.number(0, 100) / 100
            self.update("broodstock_breedingtraitpriority", priority, priority_weight=weight)
            return
        parentage = self.any_of("broodstock_batchparentage")
        if self.chance(0.3):
            self.delete("broodstock_batchparentage", parentage)
        elif self.chance(0.5):
            day = self.last_day + timedelta(days=self.number(-60, 10))
            self.update("broodstock_batchparentage", parentage, assignment_date=f"{day}T12:00:00Z")
        else:
            self.insert("broodstock_batchparentage", parentage, batch_id=self.batch())

    def _calibration(self) -> None:
        """Keep a fit of one life stage over all sites."""
        stage, factor = self.any_of("batch_lifecyclestage"), self.number(60, 130) / 100
        key = self._execute(
            """
            insert into {table} (
                calibrated_by, as_of_date, anchor_pair_count, process_noise, engine_version
            )
            values ('edits', %s, 9, %s, 1)
            returning {key}
            """,
            "calibrations",
            (self.last_day, self.pick(None, 1e-5, 4e-5)),
        ).fetchone()[0]
        self.connection.execute(
            """
            insert into anchorline_ops.calibrated_tgc
            select %s, %s, 'all', null, null, 2, 2 * f, 2 * f, f, 3 * f, f, 0.01, 9
            from (values (%s::double precision)) as factors (f)
            """,
            (key, stage, factor),
        )
        self._edit.former_rows.append(("calibrations", key, None))
        self._touch("calibrations", key)
        self._edit.what.append(f"insert calibration {key}: stage {stage} grows {factor} times")

    # -- temperature --------------------------------------------------------------------------

    def _reading_insert(self) -> None:
        assignment = self.assignment()
        stay = self._row("batch_batchcontainerassignment", assignment)
        like = self.any_of(
            "environmental_environmentalreading", "container_id = %s", (stay["container_id"],)
        )
        first = self.day_of(assignment)
        for offset in range(self.pick(1, 1, 12)):
            self.insert(
                "environmental_environmentalreading",
                like,
                reading_time=self.an_instant(first + offset * _DAY),
                value=self.pick(4.4, 8.1, 12.9, 45, -2.5),
            )

    def _reading_update(self) -> None:
        stay = self._row("batch_batchcontainerassignment", self.assignment())
        reading = self.any_of(
            "environmental_environmentalreading", "container_id = %s", (stay["container_id"],)
        )
        self.update(
            "environmental_environmentalreading",
            reading,
            **self.pick(
                {"value": self.pick(3.3, 14.4, 99)},
                {"reading_time": self.an_instant(self.day_of(self.assignment()))},
                {"container_id": self.any_of("infrastructure_container")},
                {"parameter_id": self.any_of_parameter()},
            ),
        )

    def any_of_parameter(self) -> int:
        """Return an environmental parameter."""
        rows = self.connection.execute(
            "select id from public.environmental_environmentalparameter order by id"
        ).fetchall()
        return int(rows[int(self.rng.integers(len(rows)))][0])

    def _reading_delete(self) -> None:
        assignment = self.assignment()
        stay = self._row("batch_batchcontainerassignment", assignment)
        first = self.day_of(assignment)
        rows = self.connection.execute(
            """
            select id from public.environmental_environmentalreading
            where container_id = %s and reading_time >= %s and reading_time < %s order by id
            """,
            (stay["container_id"], first, first + self.pick(1, 3, 20) * _DAY),
        ).fetchall()
        for (reading,) in rows:
            self.delete("environmental_environmentalreading", reading)

    # -- what people enter --------------------------------------------------------------------

    def _manual_anchor(self) -> None:
        assignment = self.assignment()
        anchor = self.any_of("manual_anchors")
        changes = {
            "assignment_id": assignment,
            "anchor_date": self.day_of(assignment),
            "weight_g": self.weight(assignment),
        }
        action = self.pick("insert", "insert", "update", "delete")
        if action == "insert":
            self.insert("manual_anchors", anchor, **changes)
        elif action == "update":
            self.update("manual_anchors", anchor, **changes)
        elif len(self._keys("manual_anchors", "entered_by", None)) > 1:
            self.delete("manual_anchors", anchor)

    def _exclusion(self) -> None:
        exclusion = self.any_of("anchor_exclusions")
        if self.chance(0.3) and len(self._keys("anchor_exclusions", "reason", None)) > 1:
            self.delete("anchor_exclusions", exclusion)
            return
        kind, table = self.pick(
            ("growth_sample", "batch_growthsample"),
            ("transfer", "batch_transferaction"),
            ("vaccination", "health_treatment"),
            ("health_sampling", "health_healthsamplingevent"),
        )
        if kind == "transfer":
            record = self.any_of(table, "measured_avg_weight_g is not null")
        else:
            record = self.any_of(table)
        self.insert(
            "anchor_exclusions",
            exclusion,
            anchor_type=kind,
            record_id=record,
            reason=f"edit {self.number(1, 99)}",
        )

    # -- helpers ------------------------------------------------------------------------------

    def _batch_of(self, assignment: int) -> int:
        row = self.connection.execute(
            "select batch_id from public.batch_batchcontainerassignment where id = %s",
            (assignment,),
        ).fetchone()
        return int(row[0]) if row else self.batch()

    def _some(self, assignment: int | None) -> int:
        """Return the assignment where there is one, else any."""
        if assignment is not None:
            row = self.connection.execute(
                "select 1 from public.batch_batchcontainerassignment where id = %s", (assignment,)
            ).fetchone()
            if row:
                return assignment
        return self.assignment()

    def _keys(self, table: str, column: str, value: Any) -> list[int]:
        condition = (
            sql.SQL("true")
            if value is None
            else sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value))
        )
        rows = self.connection.execute(
            sql.SQL("select {} from {} where {} order by 1").format(
                sql.Identifier(TABLES[table].key),
                sql.Identifier(TABLES[table].schema, table),
                condition,
            )
        ).fetchall()
        return [int(row[0]) for row in rows]

    def _delete_assignment(self, assignment: int, *, with_dependants: bool) -> None:
        if with_dependants:
            for table, columns in _DEPENDANTS.items():
                for column in columns:
                    for key in self._keys(table, column, assignment):
                        self.delete(table, key)
        self.delete("batch_batchcontainerassignment", assignment)


class NothingToEditError(Exception):
    """There is no row on which an edit could be made."""


_DAY: Final = timedelta(days=1)

_DEPENDANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "batch_growthsample": ("assignment_id",),
    "batch_transferaction": ("source_assignment_id", "dest_assignment_id"),
    "batch_creationaction": ("dest_assignment_id",),
    "health_healthsamplingevent": ("assignment_id",),
    "harvest_harvestevent": ("assignment_id",),
    "manual_anchors": ("assignment_id",),
}

_WEIGHTS: Final[Mapping[str, float]] = {
    "sample_insert": 4,
    "sample_update": 3,
    "sample_delete": 2,
    "transfer_insert": 3,
    "transfer_update": 5,
    "transfer_delete": 2,
    "lineage_join": 3,
    "lineage_cut": 2,
    "workflow_update": 1,
    "treatment_insert": 2,
    "treatment_update": 2,
    "treatment_delete": 1,
    "sampling_insert": 1,
    "sampling_update": 2,
    "sampling_delete": 1,
    "fish_insert": 1,
    "fish_update": 1,
    "fish_delete": 1,
    "death_insert": 4,
    "death_update": 2,
    "death_delete": 2,
    "death_entered_anew": 1,
    "batch_death_outside": 1,
    "record_insert": 2,
    "record_update": 1,
    "record_delete": 1,
    "feed_insert": 3,
    "feed_update": 2,
    "feed_delete": 2,
    "container_shared": 3,
    "creation_insert": 1,
    "creation_update": 2,
    "creation_delete": 1,
    "harvest_insert": 2,
    "harvest_update": 2,
    "harvest_delete": 1,
    "assignment_insert": 3,
    "assignment_dates": 5,
    "assignment_update": 4,
    "assignment_moved": 2,
    "assignment_delete": 2,
    "batch_update": 4,
    "batch_insert": 1,
    "batch_delete": 0.5,
    "container_rename": 1,
    "stage_update": 1,
    "species_rename": 0.3,
    "scenario_update": 2,
    "scenario_insert_or_delete": 1,
    "model_update": 2,
    "model_delete": 0.7,
    "model_change": 1,
    "projection_run": 1,
    "projection_rows": 1,
    "feed_model": 1,
    "activity_completed": 2,
    "template": 1,
    "parents": 1,
    "planned_activity": 2,
    "calibration": 1,
    "reading_insert": 3,
    "reading_update": 2,
    "reading_delete": 2,
    "manual_anchor": 2,
    "exclusion": 2,
}
"""The kinds of edits, and how often each is chosen."""

KINDS: Final[tuple[str, ...]] = tuple(_WEIGHTS)

__all__ = ["KINDS", "TABLES", "Edit", "Editor", "NothingToEditError", "loosen", "thin_out"]
