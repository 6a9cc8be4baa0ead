"""Recorded deaths: of an assignment, or of a batch alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from anchorline.reference.activity import Stays, active_there
from anchorline.reference.anchors import outside_stay
from anchorline.reference.inputs import Farm, Parameters
from anchorline.reference.tables import (
    UNKNOWN,
    IntArray,
    day_key,
    first_reason,
    ints,
    positions,
    rejected,
    sum_by_key,
)


@dataclass(frozen=True)
class Deaths:
    """Recorded deaths per assignment and day (`stay`) and per batch and day (`batch`).

    `batch` holds deaths recorded for the batch alone, and is a position in the batches of the
    farm. Both are sorted by their first two columns.
    """

    stay: IntArray
    day: IntArray
    count: IntArray
    batch: IntArray
    batch_day: IntArray
    batch_count: IntArray
    events: pd.DataFrame
    records: pd.DataFrame


def recorded_deaths(
    farm: Farm, stays: Stays, parameters: Parameters
) -> tuple[Deaths, list[pd.DataFrame]]:
    """Return the deaths that are recorded, and what is rejected.

    `batch_mortalityevent` counts; `health_mortalityrecord` only where no event names the same
    assignment and day (for records of the batch alone: the same batch and day). A health record
    with only a container belongs to the batch's assignment active there. Several rows of a day
    are added; a recorded 0 is a record.
    """
    batch_ids = ints(farm.batches, "batch_id")
    events, bad_events = _usable(
        farm.mortality_events,
        "batch_mortalityevent",
        "mortality_event_id",
        stays.at(ints(farm.mortality_events, "assignment_id")),
        np.zeros(len(farm.mortality_events), dtype=np.bool_),
        batch_ids,
        stays,
        parameters,
    )
    frame = farm.mortality_records
    stay = stays.at(ints(frame, "assignment_id"))
    by_container = (ints(frame, "assignment_id") == UNKNOWN) & (
        ints(frame, "container_id") != UNKNOWN
    )
    rows = np.flatnonzero(by_container)
    record, there = active_there(
        stays,
        ints(frame, "container_id")[rows],
        ints(frame, "batch_id")[rows],
        ints(frame, "event_date")[rows],
    )
    stay[rows[record]] = there
    records, bad_records = _usable(
        frame,
        "health_mortalityrecord",
        "mortality_record_id",
        stay,
        by_container,
        batch_ids,
        stays,
        parameters,
    )
    own, own_count = _first_of_two(events, records, "stay")
    alone, alone_count = _first_of_two(events, records, "batch")
    deaths = Deaths(
        stay=own // _SPAN,
        day=own % _SPAN - _SPAN // 2,
        count=own_count,
        batch=alone // _SPAN,
        batch_day=alone % _SPAN - _SPAN // 2,
        batch_count=alone_count,
        events=events,
        records=records,
    )
    return deaths, [bad_events, bad_records]


_SPAN = int(day_key(np.array([1]), np.array([0]))[0] - day_key(np.array([0]), np.array([0]))[0])


def _usable(
    frame: pd.DataFrame,
    table_name: str,
    key: str,
    stay: IntArray,
    needs_stay: np.ndarray,
    batch_ids: IntArray,
    stays: Stays,
    parameters: Parameters,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return usable rows as stay (-1: of the batch alone), batch, day, count; and the others."""
    day, count = ints(frame, "event_date"), ints(frame, "death_count")
    batch = positions(ints(frame, "batch_id"), batch_ids)
    is_alone = (ints(frame, "assignment_id") == UNKNOWN) & ~needs_stay
    of_stay = outside_stay(stays, stay, day, parameters)
    reasons = {
        "no count": count == UNKNOWN,
        "negative count": (count != UNKNOWN) & (count < 0),
        "no assignment of the batch is active in the container": needs_stay & (stay < 0),
        "batch is missing": is_alone & (batch < 0),
        "no date": day == UNKNOWN,
        "in the future": day > parameters.horizon_day,
    }
    for text, mask in of_stay.items():
        reasons[text] = reasons.get(text, False) | (~is_alone & mask)
    reason = first_reason(len(frame), reasons)
    good = np.array([text is None for text in reason], dtype=np.bool_)
    used = pd.DataFrame(
        {
            "record_id": ints(frame, key)[good],
            "stay": np.where(is_alone, -1, stay)[good],
            "batch": np.where(is_alone, batch, -1)[good],
            "day": day[good],
            "count": count[good],
        }
    )
    return used, rejected(table_name, ints(frame, key)[~good], reason[~good])


def _first_of_two(
    events: pd.DataFrame, records: pd.DataFrame, owner: str
) -> tuple[IntArray, IntArray]:
    """Add up per owner and day: events, and records only where no event is."""
    keys, sums = [], []
    for table in (events, records):
        rows = table[table[owner] >= 0]
        key, total = sum_by_key(day_key(ints(rows, owner), ints(rows, "day")), ints(rows, "count"))
        keys.append(key)
        sums.append(total)
    only = ~np.isin(keys[1], keys[0])
    key = np.concatenate([keys[0], keys[1][only]])
    total = np.concatenate([sums[0], sums[1][only]])
    order = np.argsort(key)
    return key[order], total[order]
