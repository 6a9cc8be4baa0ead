"""Which assignments are usable, when each ends, and the days on which each is active."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference.inputs import Farm, Parameters, Seeds, day_of
from anchorline.reference.tables import (
    UNKNOWN,
    BoolArray,
    IntArray,
    ints,
    positions,
    rejected,
    split_rejected,
    take,
    texts,
)

OPEN_END: Final = 1 << 20
"""Last day of a stay that has not ended, in days since 1970-01-01 (the year 4840)."""


@dataclass(frozen=True)
class Stays:
    """The usable assignments, sorted by id; all arrays have one entry per assignment.

    `last_day` is the last day of the stay as far as the records know, `last_active_day` the
    last one with a state: neither the departure day nor a day after the as-of date.
    """

    assignment_id: IntArray
    batch_id: IntArray
    container_id: IntArray
    lifecycle_stage_id: IntArray
    assignment_day: IntArray
    departure_day: IntArray
    last_day: IntArray
    last_active_day: IntArray
    is_finished: BoolArray
    has_departed: BoolArray
    batch_start_day: IntArray
    frame: pd.DataFrame

    def __len__(self) -> int:
        """Return the number of usable assignments."""
        return len(self.assignment_id)

    def at(self, assignment_ids: IntArray) -> IntArray:
        """Return the positions of assignments, -1 for one that is missing or rejected."""
        return positions(assignment_ids, self.assignment_id)

    def begins_after(self, at: IntArray, day: IntArray) -> BoolArray:
        """Return whether the day lies before the assignment's first day."""
        known = (at >= 0) & (day != UNKNOWN)
        return np.asarray(known & (day < take(self.assignment_day, at, 0)))

    def ended_before(self, at: IntArray, day: IntArray) -> BoolArray:
        """Return whether the day lies after the departure day, or after an open stay's last."""
        departure = take(self.departure_day, at, UNKNOWN)
        end = np.where(departure != UNKNOWN, departure, take(self.last_day, at, OPEN_END))
        return np.asarray((at >= 0) & (day != UNKNOWN) & (day > end))


def stay_ends(
    assignments: pd.DataFrame, batches: pd.DataFrame, harvest_events: pd.DataFrame, horizon_day: int
) -> IntArray:
    """Return the last day of each stay, in days since 1970-01-01; `OPEN_END` where it goes on.

    The day before the departure date; without one, the last harvest event of an assignment that
    is not active (up to `horizon_day`, whether or not its lots are usable); else the batch's
    `actual_end_date`.
    """
    departure = ints(assignments, "departure_date")
    in_batch = positions(ints(assignments, "batch_id"), ints(batches, "batch_id"))
    batch_end = take(ints(batches, "actual_end_date"), in_batch, UNKNOWN)

    at = positions(ints(harvest_events, "assignment_id"), ints(assignments, "assignment_id"))
    day = ints(harvest_events, "harvest_date")
    counts = (at >= 0) & (day != UNKNOWN) & (day <= horizon_day)
    counts &= day >= take(ints(assignments, "assignment_date"), at, 0)
    last_harvest = np.full(len(assignments), UNKNOWN, dtype=np.int64)
    np.maximum.at(last_harvest, at[counts], day[counts])

    is_inactive = np.array([flag is False for flag in texts(assignments, "is_active")], dtype=bool)
    end = np.where(batch_end != UNKNOWN, batch_end, OPEN_END)
    end = np.where(is_inactive & (last_harvest != UNKNOWN), last_harvest, end)
    return np.where(departure != UNKNOWN, departure - 1, end).astype(np.int64)


def check_assignments(
    farm: Farm, parameters: Parameters, seeds: Seeds
) -> tuple[Stays, pd.DataFrame]:
    """Return the usable assignments and the rejected ones.

    Not usable: batch or stage missing, no first day or one before the year 2000 (seed
    `earliest_year`), departure or end of the batch before the first day, and a stay that overlaps
    one of the same batch and container which began earlier (at equal dates the one with the lower
    id is earlier). A stay without days overlaps nothing.
    """
    frame, batches = farm.assignments, farm.batches
    start, departure = ints(frame, "assignment_date"), ints(frame, "departure_date")
    in_batch = positions(ints(frame, "batch_id"), ints(batches, "batch_id"))
    in_stage = positions(
        ints(frame, "lifecycle_stage_id"), ints(farm.lifecycle_stages, "lifecycle_stage_id")
    )
    end = stay_ends(frame, batches, farm.harvest_events, parameters.horizon_day)
    earliest_day = day_of(date(int(seeds.constant("earliest_year")), 1, 1))
    reasons = {
        "batch is missing": in_batch < 0,
        "lifecycle stage is missing": in_stage < 0,
        "container is missing": ints(frame, "container_id") == UNKNOWN,
        "no assignment date": start == UNKNOWN,
        "begins too early to be true": (start != UNKNOWN) & (start < earliest_day),
        "departure before assignment": (departure != UNKNOWN) & (departure < start),
        "the batch ended before the assignment": (departure == UNKNOWN) & (end < start),
    }
    sound = ~np.any(np.array(list(reasons.values())), axis=0)
    reasons["overlaps an earlier assignment of the batch to the container"] = _overlaps(
        ints(frame, "batch_id"), ints(frame, "container_id"), start, end, sound
    )
    used, bad = split_rejected(frame, "batch_batchcontainerassignment", "assignment_id", reasons)
    at = positions(ints(used, "assignment_id"), ints(frame, "assignment_id"))
    last_day = end[at]
    departure = ints(used, "departure_date")
    has_departed = (departure != UNKNOWN) & (departure <= parameters.horizon_day)
    inactive = np.array([flag is False for flag in texts(used, "is_active")], dtype=bool)
    stays = Stays(
        assignment_id=ints(used, "assignment_id"),
        batch_id=ints(used, "batch_id"),
        container_id=ints(used, "container_id"),
        lifecycle_stage_id=ints(used, "lifecycle_stage_id"),
        assignment_day=ints(used, "assignment_date"),
        departure_day=departure,
        last_day=last_day,
        last_active_day=np.minimum(last_day, parameters.as_of_day),
        is_finished=np.asarray(has_departed | inactive, dtype=np.bool_),
        has_departed=np.asarray(has_departed, dtype=np.bool_),
        batch_start_day=take(ints(batches, "start_date"), in_batch[at], UNKNOWN),
        frame=used,
    )
    bad_count = rejected(
        "batch_batchcontainerassignment",
        stays.assignment_id[(ints(used, "population_count") < 0) & known_count(used)],
        "negative count",
    )
    return stays, pd.concat([bad, bad_count], ignore_index=True)


def known_count(assignments: pd.DataFrame) -> BoolArray:
    """Return whether `population_count` is there."""
    return np.asarray(ints(assignments, "population_count") != UNKNOWN, dtype=np.bool_)


def _overlaps(
    batch_id: IntArray, container_id: IntArray, start: IntArray, end: IntArray, sound: BoolArray
) -> BoolArray:
    result = np.zeros(len(start), dtype=np.bool_)
    rows = np.flatnonzero(sound & (end >= start))
    if len(rows) == 0:
        return result
    # rows are sorted by id already, so that a stable sort keeps the lower id first
    rows = rows[np.lexsort((start[rows], container_id[rows], batch_id[rows]))]
    table = pd.DataFrame({"b": batch_id[rows], "c": container_id[rows], "end": end[rows]})
    grouped = table.groupby(["b", "c"], sort=False)["end"]
    earlier_end = grouped.cummax().groupby([table["b"], table["c"]], sort=False).shift()
    ends = earlier_end.fillna(-float(OPEN_END)).to_numpy(dtype=np.float64)
    result[rows] = start[rows] <= ends
    return result


@dataclass(frozen=True)
class Days:
    """One row per active assignment and day, sorted by day, then assignment.

    `stay` is the position in `Stays`; `bounds[i]:bounds[i + 1]` are the rows of day
    `first_day + i`.
    """

    stay: IntArray
    day: IntArray
    day_number: IntArray
    first_day: int
    bounds: IntArray
    _offset: IntArray
    _start: IntArray
    _length: IntArray
    _rank: IntArray

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self.stay)

    def row(self, stay: IntArray, day: IntArray) -> IntArray:
        """Return the row of an assignment and day, -1 where it is not active then."""
        since = day - take(self._start, stay, 0)
        active = (
            (stay >= 0) & (day != UNKNOWN) & (since >= 0) & (since < take(self._length, stay, 0))
        )
        at = np.where(active, take(self._offset, stay, 0) + since, -1)
        return take(self._rank, at.astype(np.int64), -1)


def active_days(stays: Stays) -> Days:
    """Return every assignment and day with a state; `day_number` 1 is the batch's start date."""
    length = np.maximum(stays.last_active_day - stays.assignment_day + 1, 0)
    offset = np.concatenate(([0], np.cumsum(length)[:-1])) if len(length) else length
    stay = np.repeat(np.arange(len(stays)), length)
    day = np.arange(int(length.sum())) - np.repeat(offset, length)
    day = day + np.repeat(stays.assignment_day, length)
    order = np.argsort(day, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    stay, day = stay[order], day[order]
    first, last = (int(day[0]), int(day[-1])) if len(day) else (0, -1)
    return Days(
        stay=stay,
        day=day,
        day_number=day - stays.batch_start_day[stay] + 1,
        first_day=first,
        bounds=np.searchsorted(day, np.arange(first, last + 2)).astype(np.int64),
        _offset=offset.astype(np.int64),
        _start=stays.assignment_day,
        _length=length.astype(np.int64),
        _rank=rank,
    )


def active_there(
    stays: Stays, place_ids: IntArray, batch_ids: IntArray | None, day: IntArray
) -> tuple[IntArray, IntArray]:
    """Find the assignments that are active in a container on a day.

    Parameters
    ----------
    stays : Stays
        The usable assignments.
    place_ids : int64 [n]
        Containers.
    batch_ids : int64 [n], optional
        Only assignments of this batch; None: of any.
    day : int64 [n]
        Days since 1970-01-01; days after the as-of date count too.

    Returns
    -------
    record, stay : int64 [m]
        Pairs of a row of the arguments and a position in `stays`; the departure day is no day of
        a stay.

    """
    left = pd.DataFrame({"record": np.arange(len(day)), "place": place_ids, "day": day})
    right = pd.DataFrame(
        {
            "stay": np.arange(len(stays)),
            "place": stays.container_id,
            "first": stays.assignment_day,
            "last": stays.last_day,
        }
    )
    keys = ["place"]
    if batch_ids is not None:
        left["batch"], right["batch"] = batch_ids, stays.batch_id
        keys.append("batch")
    pairs = left.merge(right, on=keys, how="inner")
    pairs = pairs[(pairs["first"] <= pairs["day"]) & (pairs["day"] <= pairs["last"])]
    return ints(pairs, "record"), ints(pairs, "stay")
