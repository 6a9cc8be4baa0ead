"""From the names that a person types to one assignment on one day."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from anchorline.errors import AnchorlineError
from anchorline.explain.facts import Stay
from anchorline.explain.reader import Reader

MOST_SUGGESTIONS: Final = 5
MOST_STAYS: Final = 8
LARGEST_ID: Final = 2**63 - 1


@dataclass(frozen=True)
class Named:
    """A row with an id and a name."""

    id: int
    name: str


@dataclass(frozen=True)
class Assignment:
    """An assignment of the batch, used or rejected."""

    assignment_id: int
    container_id: int
    container_name: str
    place: str
    assignment_date: date | None
    departure_date: date | None
    last_active_date: date | None
    reject_reason: str | None
    is_in_transit: bool = False

    def is_active_on(self, day: date) -> bool:
        """Whether the assignment has a state on the day."""
        return (
            self.assignment_date is not None
            and self.last_active_date is not None
            and self.assignment_date <= day <= self.last_active_date
        )

    def __str__(self) -> str:
        """Write container and days, for lists."""
        end = self.departure_date.isoformat() if self.departure_date else "today"
        if self.departure_date is None and self.last_active_date is not None:
            end = f"{self.last_active_date} (no departure date)"
        text = (
            f"{self.container_name} (id {self.container_id}): {self.assignment_date} to {end}, "
            f"batch_batchcontainerassignment#{self.assignment_id}"
        )
        return text + (f", rejected: {self.reject_reason}" if self.reject_reason else "")


def find(reader: Reader, batch: str, container: str, day: date) -> Stay:
    """Find the assignment that batch, container and day mean.

    Raises AnchorlineError where a name is unknown or ambiguous, or nothing was there that day.
    """
    found_batch = find_batch(reader, batch)
    assignments = _assignments(reader, found_batch.id, day)
    as_of = _as_of_date(reader)
    chosen_id = find_container(reader, container, found_batch, assignments, day)
    stays = [entry for entry in assignments if entry.container_id == chosen_id]
    return choose(found_batch, stays, assignments, day, as_of)


def find_batch(reader: Reader, text: str) -> Named:
    """Find a batch by number or id; `id:12` is always the id."""
    rows = reader.rows(
        """
        select batch_id as id, batch_number as name from {marts}.batches
        where batch_number = %(name)s or batch_id = %(id)s
        order by batch_id
        """,
        name=_name_of(text),
        id=_id_of(text),
    )
    exact = [Named(**row) for row in rows]
    if not exact:
        everything = reader.rows("select batch_id as id, batch_number as name from {marts}.batches")
        exact = _folded_matches(text, [Named(**row) for row in everything])
        if not exact:
            raise _unknown("batch", text, [row["name"] for row in everything])
    if len(exact) > 1:
        raise AnchorlineError(
            f"{text!r} may be any of {len(exact)} batches. Name one by its id, like "
            f"id:{exact[0].id}.",
            details="\n".join(f"id:{entry.id}  {entry.name}" for entry in exact),
        )
    return exact[0]


def find_container(
    reader: Reader, text: str, batch: Named, assignments: Sequence[Assignment], day: date
) -> int:
    """Find a container by name or id; of several with the name, the one that held the batch."""
    rows = reader.rows(
        """
        select container_id as id, container_name as name from {marts}.containers
        where container_name = %(name)s or container_id = %(id)s
        order by container_id
        """,
        name=_name_of(text),
        id=_id_of(text),
    )
    exact = [Named(**row) for row in rows]
    if not exact:
        everything = reader.rows(
            "select container_id as id, container_name as name from {marts}.containers"
        )
        exact = _folded_matches(text, [Named(**row) for row in everything])
        if not exact:
            held = list(dict.fromkeys(entry.container_name for entry in assignments))
            raise _unknown("container", text, [row["name"] for row in everything], first=held)
    held_ids = {entry.container_id for entry in assignments}
    holding = [entry for entry in exact if entry.id in held_ids]
    if not holding:
        raise AnchorlineError(
            f"Batch {batch.name} was never in container {exact[0].name} (id {exact[0].id}). "
            + _where_was(assignments, day),
            details=_listed(assignments),
        )
    if len(holding) > 1:
        on_day = {
            entry.container_id
            for entry in assignments
            if entry.is_active_on(day) or entry.departure_date == day
        }
        holding = [entry for entry in holding if entry.id in on_day] or holding
    if len(holding) > 1:
        raise AnchorlineError(
            f"{text!r} may be any of {len(holding)} containers that held batch {batch.name}. "
            f"Name one by its id, like id:{holding[0].id}.",
            details="\n".join(
                f"id:{entry.container_id}  {entry.container_name}  {entry.place}"
                for entry in assignments
                if entry.container_id in {named.id for named in holding}
            ),
        )
    return holding[0].id


def choose(
    batch: Named,
    stays: Sequence[Assignment],
    everywhere: Sequence[Assignment],
    day: date,
    as_of: date,
) -> Stay:
    """Choose, of a batch's stays in one container, the one that the day belongs to.

    An active stay goes before one that departs that day; a used one before a rejected one.
    """
    used = [entry for entry in stays if entry.reject_reason is None]
    active = [entry for entry in used if entry.is_active_on(day)]
    departing = [
        entry
        for entry in used
        if entry.departure_date == day and entry.last_active_date is not None
    ]
    in_transit = [entry for entry in used if entry.is_in_transit]
    chosen = next(iter(active or departing or in_transit), None)
    name = stays[0].container_name
    if chosen is None:
        raise _not_there(batch, name, stays, everywhere, day, as_of)
    notes = []
    others = [entry for entry in used if entry is not chosen]
    if others:
        notes.append(
            f"The batch was in {name} {len(used)} times; the other stays: "
            + "; ".join(
                f"{entry.assignment_date} to {entry.departure_date or entry.last_active_date}"
                for entry in others
            )
            + "."
        )
    if active and departing:
        notes.append(
            f"An earlier stay (batch_batchcontainerassignment#{departing[0].assignment_id}) "
            "departs on this day."
        )
    if chosen.assignment_date is None or chosen.last_active_date is None:
        raise _not_there(batch, name, stays, everywhere, day, as_of)
    return Stay(
        batch_id=batch.id,
        batch_number=batch.name,
        container_id=chosen.container_id,
        container_name=chosen.container_name,
        place=chosen.place,
        assignment_id=chosen.assignment_id,
        assignment_date=chosen.assignment_date,
        departure_date=chosen.departure_date,
        last_active_date=chosen.last_active_date,
        as_of_date=as_of,
        has_state=bool(active),
        note=" ".join(notes) or None,
    )


def _not_there(
    batch: Named,
    container: str,
    stays: Sequence[Assignment],
    everywhere: Sequence[Assignment],
    day: date,
    as_of: date,
) -> AnchorlineError:
    used = [entry for entry in stays if entry.reject_reason is None]
    if not used:
        rejected = stays[0]
        return AnchorlineError(
            f"Batch {batch.name} has no states in {container}: its assignment "
            f"(batch_batchcontainerassignment#{rejected.assignment_id}) was rejected: "
            f"{rejected.reject_reason}. " + _where_was(everywhere, day),
            details=_listed(stays),
        )
    if day > as_of:
        return AnchorlineError(
            f"{day} lies after {as_of}, the last day of the states. Ask for a day up to {as_of}, "
            "or build again.",
            details=_listed(stays),
        )
    starts = [entry.assignment_date for entry in used if entry.assignment_date is not None]
    if starts and day < min(starts):
        days = (min(starts) - day).days
        what = f"that is {_days(days)} before it came there, on {min(starts)}"
    else:
        ends = [
            entry.departure_date or (entry.last_active_date or day) + timedelta(days=1)
            for entry in used
        ]
        past = [end for end in ends if end <= day]
        what = f"it left on {max(past)}" if past else "nothing is recorded there that day"
    return AnchorlineError(
        f"Batch {batch.name} has no state in {container} on {day}: {what}. "
        + _where_was(everywhere, day),
        details=_listed(stays),
    )


def _where_was(assignments: Sequence[Assignment], day: date) -> str:
    there = [
        entry
        for entry in assignments
        if entry.reject_reason is None and (entry.is_active_on(day) or entry.departure_date == day)
    ]
    if not there:
        return f"On {day} it was in no container."
    names = [entry.container_name for entry in there[:MOST_STAYS]]
    more = f" and {len(there) - MOST_STAYS} more" if len(there) > MOST_STAYS else ""
    return f"On {day} it was in {', '.join(names)}{more}."


def _listed(assignments: Sequence[Assignment]) -> str | None:
    lines = [str(entry) for entry in assignments[:MOST_STAYS]]
    if len(assignments) > MOST_STAYS:
        lines.append(f"... and {len(assignments) - MOST_STAYS} more")
    return "\n".join(lines) or None


def _days(count: int) -> str:
    return "one day" if count == 1 else f"{count} days"


def _assignments(reader: Reader, batch_id: int, day: date) -> list[Assignment]:
    rows = reader.rows(
        """
        select
            checked.assignment_id,
            checked.container_id,
            coalesce(containers.container_name, 'container ' || checked.container_id)
                as container_name,
            concat_ws(
                ', ',
                containers.hall_name,
                containers.freshwater_station_name,
                containers.area_name,
                containers.geography_name
            ) as place,
            checked.assignment_date,
            checked.departure_date,
            assignments.last_active_date,
            checked.reject_reason,
            coalesce(states.is_in_transit, false) as is_in_transit
        from {intermediate}.int_assignments_checked as checked
        left join {intermediate}.int_assignments as assignments
            on checked.assignment_id = assignments.assignment_id
        left join {marts}.containers as containers
            on checked.container_id = containers.container_id
        left join {intermediate}.int_growth_states as states
            on checked.assignment_id = states.assignment_id and states.state_date = %(day)s
        where checked.batch_id = %(batch_id)s
        order by checked.assignment_date, checked.assignment_id
        """,
        batch_id=batch_id,
        day=day,
    )
    return [Assignment(**row) for row in rows]


def _as_of_date(reader: Reader) -> date:
    row = reader.rows("select max(state_date) as as_of from {marts}.daily_assignment_states")[0]
    if row["as_of"] is None:
        raise AnchorlineError("The marts hold no states yet. Load data and run `dbt build`.")
    as_of: date = row["as_of"]
    return as_of


def _id_of(text: str) -> int | None:
    digits = text.removeprefix("id:").strip()
    return int(digits) if digits.isdecimal() and int(digits) <= LARGEST_ID else None


def _name_of(text: str) -> str | None:
    return None if text.startswith("id:") and _id_of(text) is not None else text


def fold(text: str) -> str:
    """Fold a name for comparison: case, composed letters, blanks and kinds of quotes."""
    quotes = str.maketrans("\u2019\u2018\u201c\u201d\u00b4`", "''\"\"''")
    return " ".join(unicodedata.normalize("NFKC", text).translate(quotes).casefold().split())


def _folded_matches(text: str, candidates: Sequence[Named]) -> list[Named]:
    return [entry for entry in candidates if entry.name and fold(entry.name) == fold(text)]


def suggestions(text: str, names: Sequence[str], first: Sequence[str] = ()) -> list[str]:
    """Return the names nearest to a text: those that contain it, then those alike."""
    by_fold: dict[str, str] = {}
    for name in [*first, *names]:
        by_fold.setdefault(fold(name), name)
    wanted = fold(text)
    containing = [name for key, name in by_fold.items() if wanted and wanted in key]
    alike = difflib.get_close_matches(wanted, list(by_fold), n=MOST_SUGGESTIONS, cutoff=0.5)
    found = [by_fold[key] for key in alike]
    return list(dict.fromkeys([*containing, *found]))[:MOST_SUGGESTIONS]


def _unknown(
    kind: str, text: str, names: Sequence[Any], first: Sequence[str] = ()
) -> AnchorlineError:
    known = [name for name in names if isinstance(name, str)]
    near = suggestions(text, known, first)
    what = "number" if kind == "batch" else "name"
    hint = (
        f"Did you mean {', '.join(repr(name) for name in near)}?"
        if near
        else f"None of the {len(known):,} has a {what} like it."
    )
    return AnchorlineError(f"There is no {kind} with the {what} or id {text!r}. {hint}")
