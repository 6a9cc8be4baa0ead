"""Feed and temperature readings: the many rows, made in blocks."""

from __future__ import annotations

from typing import Final

import numpy as np

from anchorline.demo.biology import (
    ADULT,
    FIRST_FED_STAGE,
    STAGES,
    Flags,
    Floats,
    Integers,
)
from anchorline.demo.plan import LineagePlan, to_date
from anchorline.demo.registry import Records
from anchorline.demo.truth import Truth
from anchorline.demo.writing import Writer, to_days

_UNFED_SHARE: Final = 0.02
_DAYS_UNFED_BEFORE_MOVING: Final = 2
_SMALLEST_MEAL_KG: Final = 0.01
_FEED_TIMES: Final = ("08:00:00", "15:00:00")
_FIRST_MEAL_SHARE: Final = 0.55

_DIURNAL_AMPLITUDE_C: Final = 0.25
_READING_SD_C: Final = 0.12
_WARMEST_HOUR: Final = 15.0
_HOURS_READ_ON_THE_LAST_DAY: Final = 6
"""The day of the load is not over: only its first hours have been read."""

_DAYS_BETWEEN_GAPS: Final = 120.0
_GAP_DAYS: Final = (1, 1, 1, 2, 2, 3, 5, 9, 14, 17)
_OXYGEN_PARAMETER_ID: Final = 1


def write_feed(
    plan: LineagePlan,
    truth: Truth,
    records: Records,
    writer: Writer,
    rng: np.random.Generator,
) -> None:
    """Write the feed: what the growth of the day takes, in one or two meals.

    At sea every other batch is fed once a day, by barge.
    """
    fcr = np.array([STAGES[stay.stage].fcr for stay in plan.stays])[:, None]
    noise = np.maximum(rng.normal(1.0, 0.06, truth.is_active.shape), 0.5)
    feed_kg = np.where(truth.is_active, truth.gain_kg * fcr * noise, 0.0)
    feed_kg[rng.random(feed_kg.shape) < _UNFED_SHARE] = 0.0
    for stay in plan.stays:
        if stay.stage < FIRST_FED_STAGE:
            feed_kg[stay.index] = 0.0
        if stay.departure_day is not None:
            last = stay.departure_day - plan.origin_day
            feed_kg[stay.index, max(last - _DAYS_UNFED_BEFORE_MOVING, 0) : last] = 0.0
    rows, columns = np.nonzero(feed_kg > _SMALLEST_MEAL_KG)
    has_one_meal = np.array(
        [stay.stage == ADULT and stay.batch.index % 2 == 1 for stay in plan.stays]
    )[rows]
    is_second = np.concatenate(
        [np.zeros(len(rows), dtype=bool), np.ones((~has_one_meal).sum(), dtype=bool)]
    )
    row = np.concatenate([rows, rows[~has_one_meal]])
    column = np.concatenate([columns, columns[~has_one_meal]])
    share = np.where(is_second, 1.0 - _FIRST_MEAL_SHARE, _FIRST_MEAL_SHARE)
    share[: len(rows)][has_one_meal] = 1.0
    named = np.ones(len(row), dtype=bool)
    first_id = records.ids.take("inventory_feedingevent", len(row))
    for special in plan.special("feed_container_batch"):
        days = column + plan.origin_day
        chosen = (row == special.stay.index) & (days >= special.first_day)
        chosen &= days <= special.last_day
        named[chosen] = False
        if chosen.any():
            place = int(np.flatnonzero(chosen)[0])
            records.case("feed_container_batch", "inventory_feedingevent", first_id + place)
    assignment_ids = np.array([float(stay.assignment_id) for stay in plan.stays])
    writer.block(
        "inventory_feedingevent",
        {
            "id": first_id + np.arange(len(row)),
            "feeding_date": to_days(column + plan.origin_day),
            "feeding_time": np.array(_FEED_TIMES)[is_second.astype(np.int64)],
            "amount_kg": np.round(feed_kg[row, column] * share, 4),
            "batch_biomass_kg": np.round(
                truth.population[row, column] * truth.weight_g[row, column] / 1000.0, 2
            ),
            "method": "AUTOMATIC",
            "batch_id": _ids(plan, "batch")[row],
            "batch_assignment_id": np.where(named, assignment_ids[row], np.nan),
            "container_id": _ids(plan, "container")[row],
            "feed_id": np.array([max(stay.stage, 1) for stay in plan.stays])[row],
        },
    )
    for special in plan.special("departure_day"):
        event_id = records.add(
            "inventory_feedingevent",
            feeding_date=to_date(special.last_day + 1),
            feeding_time=_FEED_TIMES[0],
            amount_kg=1.5,
            method="MANUAL",
            batch_id=special.stay.batch.batch_id,
            batch_assignment_id=special.stay.assignment_id,
            container_id=special.stay.container.container_id,
            feed_id=special.stay.stage,
        )
        records.case("departure_day_feed", "inventory_feedingevent", event_id)


def write_readings(
    plan: LineagePlan,
    truth: Truth,
    records: Records,
    writer: Writer,
    rng: np.random.Generator,
    readings_per_day: int | None,
) -> None:
    """Write the readings of the containers' sensors, with gaps.

    A sensor measures `readings_per_day` times, by itself four or six times.
    """
    measured = _measured_days(plan, truth, records, rng)
    parts: list[tuple[Integers, Integers, Floats]] = []
    per_day = np.array([readings_per_day or stay.container.readings_per_day for stay in plan.stays])
    last_column = plan.horizon_day - 1 - plan.origin_day
    for count in np.unique(per_day):
        row, column = np.nonzero(measured & (per_day == count)[:, None])
        hours = np.arange(count) * (24.0 / count)
        diurnal = _DIURNAL_AMPLITUDE_C * np.cos(2.0 * np.pi * (hours - _WARMEST_HOUR) / 24.0)
        if count == 1:
            diurnal[:] = 0.0  # the only value of a day is its mean
        value = truth.temp_c[row, column][:, None] + diurnal[None, :]
        value += rng.normal(0.0, _READING_SD_C, value.shape)
        kept = (column[:, None] < last_column) | (hours <= _HOURS_READ_ON_THE_LAST_DAY)[None, :]
        seconds = (column + plan.origin_day)[:, None] * 86_400 + (hours * 3600).astype(np.int64)
        rows = np.broadcast_to(row[:, None], value.shape)
        parts.append((rows[kept], seconds[kept], value[kept]))
    row = np.concatenate([part[0] for part in parts])
    seconds = np.concatenate([part[1] for part in parts])
    value = np.concatenate([part[2] for part in parts])
    in_time = np.lexsort((row, seconds))
    row, seconds, value = row[in_time], seconds[in_time], value[in_time]
    first_id = records.ids.take("environmental_environmentalreading", len(row))
    named = np.ones(len(row), dtype=bool)
    for special in plan.special("unnamed_readings"):
        chosen = (row == special.stay.index) & (seconds // 86_400 == special.first_day)
        named[chosen] = False
        if chosen.any():
            place = first_id + int(np.flatnonzero(chosen)[0])
            records.case("unnamed_readings", "environmental_environmentalreading", place)
    if len(row) and plan.batches[0].index < 2:
        records.case("several_readings_a_day", "environmental_environmentalreading", first_id)
    at = seconds.astype("datetime64[s]")
    writer.block(
        "environmental_environmentalreading",
        {
            "id": first_id + np.arange(len(row)),
            "value": np.round(value, 4),
            "reading_time": at,
            "is_manual": False,
            "created_at": at,
            "batch_id": np.where(named, _ids(plan, "batch")[row].astype(np.float64), np.nan),
            "container_id": _ids(plan, "container")[row],
            "parameter_id": np.array([s.container.parameter_id for s in plan.stays])[row],
            "sensor_id": np.array([s.container.sensor_id for s in plan.stays])[row],
            "batch_container_assignment_id": np.where(
                named, _ids(plan, "assignment")[row].astype(np.float64), np.nan
            ),
        },
    )
    _write_oxygen(plan, truth, records, writer, rng)


def _measured_days(
    plan: LineagePlan, truth: Truth, records: Records, rng: np.random.Generator
) -> Flags:
    """Return on which days each stay's sensor works; shape (stays, days)."""
    measured: Flags = truth.is_active.copy()
    starts = np.argwhere(rng.random(measured.shape) < 1.0 / _DAYS_BETWEEN_GAPS)
    lengths = rng.choice(_GAP_DAYS, len(starts))
    special_rows = {special.stay.index for special in plan.special("sensor_gap")}
    for (row, column), length in zip(starts, lengths, strict=True):
        if int(row) not in special_rows:
            measured[row, column : column + length] = False
    for kind in ("sensor_gap", "no_sensor"):
        for special in plan.special(kind):
            first = special.first_day - plan.origin_day
            days = special.last_day + 1 - special.first_day
            measured[special.stay.index, first : first + days] = False
            records.case(
                kind,
                "batch_batchcontainerassignment",
                special.stay.assignment_id,
                f"{days} days from {to_date(special.first_day)}",
            )
    return measured


def _write_oxygen(
    plan: LineagePlan,
    truth: Truth,
    records: Records,
    writer: Writer,
    rng: np.random.Generator,
) -> None:
    """Write a little of another parameter, which must not be taken for a temperature."""
    row, column = np.nonzero(truth.is_active[:, ::14][::6])
    row, column = row * 6, column * 14
    seconds = (column + plan.origin_day) * 86_400 + 12 * 3600
    at = seconds.astype("datetime64[s]")
    writer.block(
        "environmental_environmentalreading",
        {
            "id": records.ids.take("environmental_environmentalreading", len(row))
            + np.arange(len(row)),
            "value": np.round(rng.normal(95.0, 3.0, len(row)), 4),
            "reading_time": at,
            "is_manual": True,
            "created_at": at,
            "container_id": _ids(plan, "container")[row],
            "parameter_id": _OXYGEN_PARAMETER_ID,
        },
    )


def _ids(plan: LineagePlan, of: str) -> Integers:
    """Return an id of each stay: of its batch, container or itself."""
    if of == "batch":
        ids = [stay.batch.batch_id for stay in plan.stays]
    elif of == "container":
        ids = [stay.container.container_id for stay in plan.stays]
    else:
        ids = [stay.assignment_id for stay in plan.stays]
    return np.array(ids, dtype=np.int64)
