"""Validating what changed, and not the whole farm: some lineages, from a first day on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from anchorline.errors import AnchorlineError
from anchorline.expectations.suites import Relation

if TYPE_CHECKING:
    from anchorline.expectations.names import Names

_LIMITED_LAYERS: Final = ("staging", "intermediate", "marts")
_DAY_COLUMNS: Final = ("state_date", "week_start_date")


@dataclass(frozen=True)
class Limit:
    """Whole lineages, by their batches and assignments; and the first day, a Monday.

    Lineages, because fish come from other assignments and their balance closes over all of
    them; from a Monday, because weeks are added up. `is_of_marts`: the raw tables are not limited.
    """

    batch_numbers: tuple[str, ...]
    batch_ids: tuple[int, ...] = ()
    assignment_ids: tuple[int, ...] = ()
    first_date: date | None = None
    is_of_marts: bool = False

    def condition(
        self, relation: Relation, columns: Collection[str], first_date: date | None
    ) -> str | None:
        """Return the condition on the rows of a table; None where it is read whole.

        A row belongs to the assignments that it names, else to its batch. Seeds and lists that
        name neither are small.
        """
        if relation.layer not in _LIMITED_LAYERS:
            return None
        named = [column for column in columns if column.endswith("assignment_id")]
        if named:
            condition = " or ".join(_is_one_of(name, self.assignment_ids) for name in sorted(named))
        elif "batch_id" in columns:
            condition = _is_one_of("batch_id", self.batch_ids)
        else:
            return None
        if first_date is not None:
            day = sql.Literal(first_date).as_string(None)
            days = [f"{name} >= {day}" for name in _DAY_COLUMNS if name in columns]
            condition = " and ".join([f"({condition})", *days])
        return condition

    def as_json(self) -> dict[str, Any]:
        """Return it in the types of JSON."""
        return {
            "batch_numbers": self.batch_numbers,
            "batch_ids": self.batch_ids,
            "assignment_ids": self.assignment_ids,
            "first_date": self.first_date.isoformat() if self.first_date else None,
            "is_of_marts": self.is_of_marts,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Limit:
        """Return what `as_json` has made of it."""
        first_date = content["first_date"]
        return cls(
            batch_numbers=tuple(content["batch_numbers"]),
            batch_ids=tuple(content["batch_ids"]),
            assignment_ids=tuple(content["assignment_ids"]),
            first_date=date.fromisoformat(first_date) if first_date else None,
            is_of_marts=content["is_of_marts"],
        )


def find_limit(
    connection: psycopg.Connection,
    names: Names,
    *,
    batch_numbers: Iterable[str] = (),
    assignment_ids: Iterable[int] = (),
    first_date: date | None = None,
) -> Limit:
    """Widen batches and assignments to their whole lineages, and a day to its week."""
    wanted = sorted(set(batch_numbers))
    changed = sorted(set(assignment_ids))
    _must_be_there(connection, names, "select batch_number from {marts}.batches", wanted)
    lineages = connection.execute(
        names.render(
            """
            with wanted as (
                select batch_id from {marts}.batches where batch_number = any(%(wanted)s)
                union
                select batch_id from {intermediate}.int_assignments_checked
                where assignment_id = any(%(changed)s)
                union
                select batch_id from {marts}.daily_assignment_states
                where assignment_id = any(%(changed)s)
            )

            select distinct members.batch_id, members.batch_number
            from wanted
            left join {marts}.batches as batches on wanted.batch_id = batches.batch_id
            inner join {marts}.batches as members
                on
                    wanted.batch_id = members.batch_id
                    or batches.lineage_id = members.lineage_id
            order by members.batch_number
            """
        ).encode(),
        {"wanted": wanted, "changed": changed},
    ).fetchall()
    batch_ids = [batch_id for batch_id, _ in lineages]
    assignments = connection.execute(
        names.render(
            """
            select assignment_id from {intermediate}.int_assignments_checked
            where batch_id = any(%(batch_ids)s)
            union
            select assignment_id from {marts}.population_reconciliation
            where batch_id = any(%(batch_ids)s)
            union
            select assignment_id from {marts}.daily_assignment_states
            where batch_id = any(%(batch_ids)s)
            """
        ).encode(),
        {"batch_ids": batch_ids},
    ).fetchall()
    return Limit(
        batch_numbers=tuple(str(number) for _, number in lineages),
        batch_ids=tuple(sorted(batch_ids)),
        assignment_ids=tuple(sorted({row[0] for row in assignments} | set(changed))),
        first_date=first_date - timedelta(days=first_date.weekday()) if first_date else None,
    )


def kept_batches(connection: psycopg.Connection, names: Names) -> list[str] | None:
    """Return the batches of which all states are kept; None: those of all are.

    With the var states_kept_years old states are dropped, and what adds up over the life of a
    lineage can only be checked where all of it is there.
    """
    years = names.variable("states_kept_years")
    if not years:
        return None
    rows = connection.execute(
        names.render(
            """
            with horizon as (
                select
                    (
                        (%(as_of)s::date - make_interval(years => %(years)s))::date
                        - date '1970-01-01'
                    ) / %(chunk_days)s * %(chunk_days)s + date '1970-01-01' as first_day
            )

            select batches.batch_number
            from {marts}.batches as batches
            where
                not exists (
                    select 1
                    from {marts}.batches as mates
                    inner join {intermediate}.int_assignments as assignments
                        on mates.batch_id = assignments.batch_id
                    where
                        mates.lineage_id = batches.lineage_id
                        and assignments.assignment_date < (select first_day from horizon)
                )
            order by batches.batch_number
            """
        ).encode(),
        {
            "as_of": names.as_of,
            "years": int(years),
            "chunk_days": int(names.variable("chunk_days")),
        },
    ).fetchall()
    return [str(row[0]) for row in rows]


def find_raw_limit(
    connection: psycopg.Connection, names: Names, batch_numbers: Iterable[str]
) -> Limit:
    """Return the limit where nothing has been built: the batches as they are."""
    wanted = sorted(set(batch_numbers))
    _must_be_there(connection, names, "select batch_number from {raw}.batch_batch", wanted)
    return Limit(batch_numbers=tuple(wanted))


def _must_be_there(
    connection: psycopg.Connection, names: Names, query: str, wanted: Collection[str]
) -> None:
    if not wanted:
        return
    rows = connection.execute(names.render(query).encode()).fetchall()
    known = {str(row[0]) for row in rows}
    strange = [number for number in wanted if number not in known]
    if strange:
        some = ", ".join(sorted(known)[:5])
        raise AnchorlineError(
            f"There is no batch {', '.join(strange)}. "
            + (f"Batches are called {some} and so on." if known else "There is none at all.")
        )


def _is_one_of(column: str, ids: Collection[int]) -> str:
    named = sql.Identifier(column).as_string(None)
    return f"{named} = any('{{{','.join(map(str, ids))}}}'::bigint[])"
