"""What people state about weights: manual anchors, and measurements that must not be used.

Statements go into the schema `<target schema>_ops`, with who and why; the next refresh computes
with them. Nothing is deleted: what is taken back stays, with who took it back and why.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, LiteralString

from psycopg import Connection, sql
from psycopg.errors import (
    InsufficientPrivilege,
    InvalidSchemaName,
    UndefinedColumn,
    UndefinedTable,
    UniqueViolation,
)
from psycopg.rows import dict_row

from anchorline import hints, settings
from anchorline.errors import AnchorlineError
from anchorline.explain.find import Assignment, Named, find_batch, find_container
from anchorline.explain.reader import ANCHOR_NAMES, ANCHOR_TABLES, Reader
from anchorline.marts import schema_of_raw_tables
from anchorline.raw.sources import project_variable

MANUAL: Final = "manual"
MOST_STAYS: Final = 8


@dataclass(frozen=True)
class Statement:
    """Who stated or took back something, when and why."""

    by: str
    at: datetime | None
    reason: str


@dataclass(frozen=True)
class Measurement:
    """One measurement of the weight, as the marts know it and as people have stated since.

    `status` is the one of the marts (used, superseded, excluded, not_an_anchor), `rejected: ...`,
    or null where the marts do not know the measurement yet. `change` says what the next refresh
    will do, null where it will do nothing.
    """

    anchor_type: str
    record_id: int
    batch_number: str | None
    container_name: str | None
    assignment_id: int | None
    anchor_date: date | None
    weight_g: float | None
    modelled_weight_g: float | None
    residual_percent: float | None
    status: str | None
    change: str | None
    stated: Statement | None
    exclusion: Statement | None
    taken_back: Statement | None

    @property
    def is_stated(self) -> bool:
        """Whether people have stated something about it that holds, or did until now."""
        return bool(self.stated or self.exclusion or self.change)


@dataclass(frozen=True)
class Added:
    """A manual anchor that was entered, beside what the marts say of that day."""

    manual_anchor_id: int
    batch: Named
    stay: Assignment
    anchor_date: date
    weight_g: Decimal
    state_weight_g: float | None
    """Mean weight of the state of that day; null where there is none (yet)."""
    is_departure_day: bool
    last_state_date: date | None
    """The newest day of the marts."""

    @property
    def difference_percent(self) -> float | None:
        """How far the stated weight lies above the state's, in percent."""
        if not self.state_weight_g:
            return None
        return 100 * (float(self.weight_g) / self.state_weight_g - 1)


def parse_weight(text: str) -> Decimal:
    """Read a weight in g that can be true. Raises AnchorlineError for any other text."""
    lowest, highest = plausible_weight_range()
    try:
        weight_g = Decimal(text.strip())
    except InvalidOperation:
        raise AnchorlineError(
            f"{text!r} is no weight. Write the mean weight in g, like 1250 or 1250.5."
        ) from None
    if not (weight_g.is_finite() and lowest < weight_g <= highest):
        raise AnchorlineError(
            f"{text} g is not the weight of a salmon: above {lowest} g and up to {highest} g is "
            "plausible (seed plausible_ranges). Is the unit right?"
        )
    return weight_g


def plausible_weight_range() -> tuple[Decimal, Decimal]:
    """Return the weights in g that the models believe; the first is itself not plausible."""
    for row in _seed("plausible_ranges"):
        if row["quantity"] == "weight":
            return Decimal(row["min_value"]), Decimal(row["max_value"])
    raise AnchorlineError("seeds/plausible_ranges.csv has no row for `weight`. Restore it.")


def anchor_types() -> list[str]:
    """Name the kinds of measurements, in the order of their precedence."""
    return [row["anchor_type"] for row in _seed("anchor_types")]


def _seed(name: str) -> list[dict[str, str]]:
    path = settings.project_folder() / "seeds" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


class Anchors:
    """What people state about the weights of one target; each call is one transaction."""

    def __init__(self, connection: Connection, target: str) -> None:
        self._connection = connection
        self._reader = Reader(connection, settings.target_schema(target))
        self._schemas = {
            layer: sql.Identifier(settings.layer_schema(layer, target))
            for layer in ("marts", "ops")
        }
        self._ops_schema = settings.layer_schema("ops", target)
        self._staging_schema = settings.layer_schema("staging", target)
        self._target = target

    # -- stating -----------------------------------------------------------------------------

    def add(
        self, batch: str, container: str, day: date, weight_g: Decimal, *, reason: str, by: str
    ) -> Added:
        """State the mean weight of the batch's fish in a container on a day.

        Raises AnchorlineError where batch or container are unknown, the batch was not there
        that day, the day is still to come, or a manual anchor of that day holds already.
        """
        _require_text(reason, by)
        with self._transaction():
            newest_day = self._newest_day()
            self._refuse_future(day, newest_day)
            found_batch = find_batch(self._reader, batch)
            stay, is_departure_day = self._stay(found_batch, container, day)
            self._one_at_a_time("manual_anchors")
            self._refuse_second(found_batch, stay, day)
            row = self._row(
                """
                insert into {ops}.manual_anchors (
                    assignment_id, anchor_date, weight_g, reason, entered_by
                )
                values (%(assignment_id)s, %(day)s, %(weight_g)s, %(reason)s, %(by)s)
                returning manual_anchor_id
                """,
                assignment_id=stay.assignment_id,
                day=day,
                weight_g=weight_g,
                reason=reason.strip(),
                by=by.strip(),
            )
            state = self._row_or_none(
                """
                select avg_weight_g::double precision as weight_g
                from {marts}.daily_assignment_states
                where assignment_id = %(assignment_id)s and state_date = %(day)s
                """,
                assignment_id=stay.assignment_id,
                day=day,
            )
        return Added(
            manual_anchor_id=row["manual_anchor_id"],
            batch=found_batch,
            stay=stay,
            anchor_date=day,
            weight_g=weight_g,
            state_weight_g=state["weight_g"] if state else None,
            is_departure_day=is_departure_day,
            last_state_date=newest_day,
        )

    def exclude(self, anchor_type: str, record_id: int, *, reason: str, by: str) -> Measurement:
        """State that a measurement must not be used.

        Raises AnchorlineError where there is no such measurement, or it is excluded already.
        """
        _require_text(reason, by)
        with self._transaction():
            self._one_at_a_time("anchor_exclusions")
            self._require_record(anchor_type, record_id)
            earlier = self._row_or_none(
                """
                select excluded_by, excluded_at, reason
                from {ops}.anchor_exclusions
                where
                    anchor_type = %(anchor_type)s
                    and record_id = %(record_id)s
                    and removed_at is null
                """,
                anchor_type=anchor_type,
                record_id=record_id,
            )
            if earlier:
                raise AnchorlineError(
                    f"{anchor_type} {record_id} is excluded already"
                    f"{_who_when(earlier['excluded_by'], earlier['excluded_at'])}: "
                    f"{earlier['reason']}. Take that back with `anchorline anchors include` before "
                    "you state another reason."
                )
            self._row(
                """
                insert into {ops}.anchor_exclusions (anchor_type, record_id, reason, excluded_by)
                values (%(anchor_type)s, %(record_id)s, %(reason)s, %(by)s)
                returning anchor_exclusion_id
                """,
                anchor_type=anchor_type,
                record_id=record_id,
                reason=reason.strip(),
                by=by.strip(),
            )
            return self._one(anchor_type, record_id)

    # -- taking back -------------------------------------------------------------------------

    def remove(self, manual_anchor_id: int, *, reason: str, by: str) -> Measurement:
        """Take a manual anchor back. It stays in the table, with who did so and why."""
        _require_text(reason, by)
        with self._transaction():
            known = self._row_or_none(
                """
                select removed_at, removed_by, removed_reason
                from {ops}.manual_anchors
                where manual_anchor_id = %(id)s
                """,
                id=manual_anchor_id,
            )
            taken_back = known and self._row_or_none(
                """
                update {ops}.manual_anchors
                set removed_at = now(), removed_by = %(by)s, removed_reason = %(reason)s
                where manual_anchor_id = %(id)s and removed_at is null
                returning manual_anchor_id
                """,
                id=manual_anchor_id,
                reason=reason.strip(),
                by=by.strip(),
            )
            if known is None:
                raise AnchorlineError(
                    f"There is no manual anchor {manual_anchor_id}. `anchorline anchors list "
                    "--stated` shows the ids of those that hold."
                )
            if taken_back is None:
                raise AnchorlineError(
                    f"Manual anchor {manual_anchor_id} was taken back already"
                    + (
                        f"{_who_when(known['removed_by'], known['removed_at'])}: "
                        f"{known['removed_reason']}."
                        if known["removed_at"]
                        else ", just now."
                    )
                )
            return self._one(MANUAL, manual_anchor_id)

    def include(self, anchor_type: str, record_id: int, *, reason: str, by: str) -> Measurement:
        """Take an exclusion back: the measurement counts again."""
        _require_text(reason, by)
        with self._transaction():
            taken_back = self._row_or_none(
                """
                update {ops}.anchor_exclusions
                set removed_at = now(), removed_by = %(by)s, removed_reason = %(reason)s
                where
                    anchor_type = %(anchor_type)s
                    and record_id = %(record_id)s
                    and removed_at is null
                returning anchor_exclusion_id
                """,
                anchor_type=anchor_type,
                record_id=record_id,
                reason=reason.strip(),
                by=by.strip(),
            )
            if taken_back is None:
                raise AnchorlineError(
                    f"{anchor_type} {record_id} is not excluded by anybody. `anchorline anchors "
                    "list --stated` shows what is."
                )
            return self._one(anchor_type, record_id)

    # -- looking -----------------------------------------------------------------------------

    def find_batch(self, text: str) -> Named:
        """Find a batch by number or id. Raises AnchorlineError where there is none."""
        with self._transaction():
            return find_batch(self._reader, text)

    def listed(self, *, batch_id: int | None = None) -> list[Measurement]:
        """List measurements, newest day first, and among them all that people state.

        Without a batch all measurements of the farm. What was taken back, and is in no mart any
        more, comes last.
        """
        with self._transaction():
            return self._measurements(batch_id=batch_id)

    # -- the queries -------------------------------------------------------------------------

    def _one(self, anchor_type: str, record_id: int) -> Measurement:
        return self._measurements(anchor_type=anchor_type, record_id=record_id)[0]

    def _measurements(
        self,
        *,
        batch_id: int | None = None,
        anchor_type: str | None = None,
        record_id: int | None = None,
    ) -> list[Measurement]:
        rows = self._rows(
            """
            with computed as (
                select
                    anchor_type,
                    record_id,
                    batch_id,
                    batch_number,
                    container_name,
                    assignment_id,
                    anchor_date,
                    weight_g::double precision as weight_g,
                    modelled_weight_g::double precision as modelled_weight_g,
                    residual_percent::double precision as residual_percent,
                    anchor_status
                from {marts}.weight_anchors
            ),

            manual_anchors as (
                select
                    'manual' as anchor_type,
                    manual_anchors.manual_anchor_id as record_id,
                    manual_anchors.assignment_id,
                    manual_anchors.anchor_date,
                    manual_anchors.weight_g::double precision as weight_g,
                    manual_anchors.reason,
                    manual_anchors.entered_by,
                    manual_anchors.entered_at,
                    manual_anchors.removed_at,
                    manual_anchors.removed_by,
                    manual_anchors.removed_reason,
                    stays.batch_id,
                    stays.batch_number,
                    stays.container_name
                from {ops}.manual_anchors as manual_anchors
                left join {marts}.population_reconciliation as stays
                    on manual_anchors.assignment_id = stays.assignment_id
            ),

            -- the exclusion that holds, else the one that was taken back last
            exclusions as (
                select distinct on (anchor_type, record_id)
                    anchor_type,
                    record_id,
                    reason,
                    excluded_by,
                    excluded_at,
                    removed_at,
                    removed_by,
                    removed_reason
                from {ops}.anchor_exclusions
                order by anchor_type, record_id, removed_at desc nulls first
            ),

            measurements as (
                select anchor_type, record_id from computed
                union
                select anchor_type, record_id from manual_anchors
                union
                select anchor_type, record_id from exclusions
            )

            select
                measurements.anchor_type,
                measurements.record_id,
                coalesce(computed.batch_id, manual_anchors.batch_id) as batch_id,
                coalesce(computed.batch_number, manual_anchors.batch_number) as batch_number,
                coalesce(computed.container_name, manual_anchors.container_name)
                    as container_name,
                coalesce(computed.assignment_id, manual_anchors.assignment_id) as assignment_id,
                coalesce(computed.anchor_date, manual_anchors.anchor_date) as anchor_date,
                coalesce(computed.weight_g, manual_anchors.weight_g) as weight_g,
                computed.modelled_weight_g,
                computed.residual_percent,
                computed.anchor_status,
                (
                    select min(rejected.reason)
                    from {marts}.rejected_records as rejected
                    where
                        computed.record_id is null
                        and rejected.table_name = raw_tables.table_name
                        and rejected.record_id = measurements.record_id
                ) as reject_reason,
                manual_anchors.entered_by,
                manual_anchors.entered_at,
                manual_anchors.reason,
                manual_anchors.removed_by,
                manual_anchors.removed_at,
                manual_anchors.removed_reason,
                exclusions.excluded_by,
                exclusions.excluded_at,
                exclusions.reason as exclusion_reason,
                exclusions.removed_by as included_by,
                exclusions.removed_at as included_at,
                exclusions.removed_reason as included_reason
            from measurements
            left join unnest(%(types)s::text [], %(tables)s::text [])
                as raw_tables (anchor_type, table_name)
                on measurements.anchor_type = raw_tables.anchor_type
            left join computed
                on
                    measurements.anchor_type = computed.anchor_type
                    and measurements.record_id = computed.record_id
            left join manual_anchors
                on
                    measurements.anchor_type = manual_anchors.anchor_type
                    and measurements.record_id = manual_anchors.record_id
            left join exclusions
                on
                    measurements.anchor_type = exclusions.anchor_type
                    and measurements.record_id = exclusions.record_id
            where
                (
                    %(batch_id)s::bigint is null
                    or coalesce(computed.batch_id, manual_anchors.batch_id) = %(batch_id)s
                )
                and (%(anchor_type)s::text is null or measurements.anchor_type = %(anchor_type)s)
                and (%(record_id)s::bigint is null or measurements.record_id = %(record_id)s)
            order by
                coalesce(computed.anchor_date, manual_anchors.anchor_date) desc nulls last,
                batch_number,
                container_name,
                measurements.anchor_type,
                measurements.record_id
            """,
            batch_id=batch_id,
            anchor_type=anchor_type,
            record_id=record_id,
            types=list(ANCHOR_TABLES),
            tables=list(ANCHOR_TABLES.values()),
        )
        return [_measurement(row) for row in rows]

    def _newest_day(self) -> date | None:
        row = self._row("select max(state_date) as day from {marts}.daily_batch_states")
        newest: date | None = row["day"]
        return newest

    def _refuse_future(self, day: date, newest_day: date | None) -> None:
        time_zone = project_variable("timezone", "UTC")
        today = self._row("select (now() at time zone %(zone)s)::date as day", zone=time_zone)[
            "day"
        ]
        last = max(today, newest_day or today)
        if day > last:
            raise AnchorlineError(
                f"{day} is still to come: today is {today} ({time_zone}). Nobody has weighed those "
                "fish."
            )

    def _stay(self, batch: Named, container: str, day: date) -> tuple[Assignment, bool]:
        """Find the assignment that a measurement of the day belongs to, and whether it ends then.

        The departure day belongs to those who leave, unless others have come by then.
        """
        stays = [
            Assignment(**row)
            for row in self._rows(
                """
                select
                    stays.assignment_id,
                    stays.container_id,
                    stays.container_name,
                    concat_ws(
                        ', ',
                        containers.hall_name,
                        containers.freshwater_station_name,
                        containers.area_name,
                        containers.geography_name
                    ) as place,
                    stays.assignment_date,
                    stays.departure_date,
                    case
                        -- it goes on after the newest day of the marts
                        when not stays.is_finished and stays.departure_date is null
                            then greatest(stays.last_state_date, %(day)s)
                        when not stays.is_finished then stays.departure_date - 1
                        else stays.last_state_date
                    end as last_active_date,
                    null as reject_reason
                from {marts}.population_reconciliation as stays
                left join {marts}.containers as containers
                    on stays.container_id = containers.container_id
                where stays.batch_id = %(batch_id)s and stays.last_state_date is not null
                order by stays.assignment_date, stays.assignment_id
                """,
                batch_id=batch.id,
                day=day,
            )
        ]
        container_id = find_container(self._reader, container, batch, stays, day)
        here = [stay for stay in stays if stay.container_id == container_id]
        for stay in here:
            if stay.is_active_on(day):
                return stay, False
        for stay in here:
            if stay.departure_date == day:
                return stay, True
        there = [stay.container_name for stay in stays if stay.is_active_on(day)]
        raise AnchorlineError(
            f"Batch {batch.name} was not in {here[0].container_name} on {day}. "
            + (
                f"That day it was in {hints.listed(there[:MOST_STAYS])}"
                + (f" and {len(there) - MOST_STAYS} more." if len(there) > MOST_STAYS else ".")
                if there
                else "That day it was in no container."
            ),
            details="\n".join(str(stay) for stay in here[:MOST_STAYS]),
        )

    def _refuse_second(self, batch: Named, stay: Assignment, day: date) -> None:
        earlier = self._row_or_none(
            """
            select manual_anchor_id, weight_g, entered_by, entered_at, reason
            from {ops}.manual_anchors
            where assignment_id = %(assignment_id)s and anchor_date = %(day)s and removed_at is null
            order by manual_anchor_id
            limit 1
            """,
            assignment_id=stay.assignment_id,
            day=day,
        )
        if earlier:
            raise AnchorlineError(
                f"Manual anchor {earlier['manual_anchor_id']} already says "
                f"{earlier['weight_g']} g for batch {batch.name} in {stay.container_name} on {day}"
                f"{_who_when(earlier['entered_by'], earlier['entered_at'])}: {earlier['reason']}. "
                "If that is wrong, take it back first: `anchorline anchors remove "
                f"{earlier['manual_anchor_id']} --reason ...`."
            )

    def _require_record(self, anchor_type: str, record_id: int) -> None:
        known = anchor_types()
        if anchor_type not in known:
            raise AnchorlineError(
                f"There is no kind of measurement called {anchor_type!r}. It is one of "
                f"{hints.listed(known)}."
            )
        computed = self._row_or_none(
            """
            select 1 as found
            from {marts}.weight_anchors
            where anchor_type = %(anchor_type)s and record_id = %(record_id)s
            """,
            anchor_type=anchor_type,
            record_id=record_id,
        )
        if computed:
            return
        if anchor_type == MANUAL:
            where = f"{self._ops_schema}.manual_anchors"
            found = self._row_or_none(
                """
                select 1 as found
                from {ops}.manual_anchors
                where manual_anchor_id = %(id)s and removed_at is null
                """,
                id=record_id,
            )
        else:
            raw_schema = schema_of_raw_tables(self._connection, self._staging_schema) or (
                project_variable("raw_schema", "public")
            )
            where = f"{raw_schema}.{ANCHOR_TABLES[anchor_type]}"
            found = self._raw_record(raw_schema, ANCHOR_TABLES[anchor_type], record_id)
        if not found:
            raise AnchorlineError(
                f"There is no {ANCHOR_NAMES[anchor_type]} {record_id}, neither in the mart "
                f"weight_anchors nor in {where}. `anchorline anchors list --batch ...` shows the "
                "measurements of a batch with their ids."
            )

    def _raw_record(self, schema: str, table: str, record_id: int) -> Any:
        try:
            with self._connection.transaction():
                return self._connection.execute(
                    sql.SQL("select 1 from {} where id = %s").format(sql.Identifier(schema, table)),
                    (record_id,),
                ).fetchone()
        except (UndefinedTable, InsufficientPrivilege) as error:
            raise AnchorlineError(
                f"{table} {record_id} is not in the mart weight_anchors, and the user "
                f"{self._connection.info.user!r} cannot look it up in {schema}.{table}. Try again "
                "after the next refresh, or let `anchorline db roles` grant what a writer needs."
            ) from error

    # -- the connection ----------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run one transaction; say in plain words what a user lacks."""
        try:
            with self._connection.transaction():
                yield
        except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
            raise self._not_built() from error
        except InsufficientPrivilege as error:
            raise self._not_allowed() from error
        except UniqueViolation as error:
            raise AnchorlineError(
                "Somebody has just stated the same. `anchorline anchors list --stated` shows it."
            ) from error
        except AnchorlineError as error:
            # names are looked up by what explains a state, whose advice is about explanations
            if isinstance(error.__cause__, InsufficientPrivilege):
                raise self._not_allowed() from error.__cause__
            if isinstance(error.__cause__, UndefinedTable | UndefinedColumn | InvalidSchemaName):
                raise self._not_built() from error.__cause__
            raise

    def _not_built(self) -> AnchorlineError:
        return AnchorlineError(
            f"The {hints.place(self._connection)} lacks marts or tables of this release. "
            f"Build them with `{hints.dbt_build(self._target)}`."
        )

    def _not_allowed(self) -> AnchorlineError:
        return AnchorlineError(
            f"The user {self._connection.info.user!r} may not read the marts or not write what "
            f"people state into {self._ops_schema}. Connect as one with the role writer (PGUSER); "
            "docs/roles.md says how to make one."
        )

    def _one_at_a_time(self, table: str) -> None:
        """Let two who state at once see each other's statement; readers are not held up."""
        self._rows(
            "select pg_advisory_xact_lock(hashtext(%(key)s))",
            key=f"anchorline {self._ops_schema}.{table}",
        )

    def _rows(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(sql.SQL(query).format(**self._schemas), parameters)
            return cursor.fetchall()

    def _row_or_none(self, query: LiteralString, **parameters: Any) -> dict[str, Any] | None:
        return next(iter(self._rows(query, **parameters)), None)

    def _row(self, query: LiteralString, **parameters: Any) -> dict[str, Any]:
        return self._rows(query, **parameters)[0]


def _measurement(row: dict[str, Any]) -> Measurement:
    is_manual = row["anchor_type"] == MANUAL
    is_computed = row["anchor_status"] is not None
    is_removed = row["removed_at"] is not None
    is_excluded = row["excluded_by"] is not None and row["included_at"] is None
    was_excluded = row["excluded_by"] is not None and row["included_at"] is not None

    status = row["anchor_status"]
    if not is_computed and row["reject_reason"] and not is_removed:
        status = f"rejected: {row['reject_reason']}"
    change = None
    if is_removed:
        change = "will go" if is_computed else None
    elif is_excluded:
        is_known = is_computed or status is None
        change = "will be excluded" if status != "excluded" and is_known else None
    elif status == "excluded":
        change = "will count again"
    elif is_manual and status is None:
        change = "will count"

    taken_back = None
    if is_removed:
        taken_back = Statement(row["removed_by"], row["removed_at"], row["removed_reason"])
    elif was_excluded:
        taken_back = Statement(row["included_by"], row["included_at"], row["included_reason"])
    return Measurement(
        anchor_type=row["anchor_type"],
        record_id=row["record_id"],
        batch_number=row["batch_number"],
        container_name=row["container_name"],
        assignment_id=row["assignment_id"],
        anchor_date=row["anchor_date"],
        weight_g=row["weight_g"],
        modelled_weight_g=row["modelled_weight_g"],
        residual_percent=row["residual_percent"],
        status=status,
        change=change,
        stated=(
            Statement(row["entered_by"], row["entered_at"], row["reason"])
            if row["entered_by"] is not None and not is_removed
            else None
        ),
        exclusion=(
            Statement(row["excluded_by"], row["excluded_at"], row["exclusion_reason"])
            if is_excluded
            else None
        ),
        taken_back=taken_back,
    )


def _require_text(reason: str, by: str) -> None:
    if not reason.strip():
        raise AnchorlineError("The reason is empty. Say in a few words why: --reason '...'.")
    if not by.strip():
        raise AnchorlineError("The name is empty. Say who states this: --by NAME.")


def _who_when(by: str, at: datetime | None) -> str:
    return f" by {by}" + (f" on {at.date()}" if at else "")
