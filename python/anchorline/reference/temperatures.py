"""Water temperature of each container and day, with every gap filled and every source named."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from anchorline.reference.inputs import Farm, Parameters, Seeds
from anchorline.reference.tables import (
    UNKNOWN,
    IntArray,
    RealArray,
    TextArray,
    day_key,
    ints,
    positions,
    reals,
    rejected,
    take,
    texts,
)


@dataclass(frozen=True)
class DaySums:
    """Sum [°C] and number of readings per container and day, in any order."""

    container_id: IntArray
    day: IntArray
    total_c: RealArray
    reading_count: IntArray


@dataclass(frozen=True)
class DailyMeans:
    """Mean measured temperature per container and day, sorted by container, then day."""

    container_id: IntArray
    day: IntArray
    temp_c: RealArray


@dataclass(frozen=True)
class Temperatures:
    """Temperature [°C] of n containers and days, NaN where `temp_source` is none."""

    temp_c: RealArray
    temp_source: TextArray
    temp_confidence: RealArray


def day_sums(farm: Farm, parameters: Parameters, seeds: Seeds) -> tuple[DaySums, pd.DataFrame]:
    """Add up the readings of each container and day, and list those that cannot be true.

    A reading is one of a parameter whose folded name is `temperature`; without a value or outside
    the plausible range (-2 to 30 °C) it is rejected; after the as-of date it is not known yet.
    """
    keys = texts(farm.environmental_parameters, "parameter_key")
    wanted = ints(farm.environmental_parameters, "parameter_id")[keys == "temperature"]
    readings = farm.environmental_readings
    is_temperature = np.isin(ints(readings, "parameter_id"), wanted)
    value, day = reals(readings, "reading_value"), ints(readings, "reading_date")
    container = ints(readings, "container_id")
    is_known = is_temperature & (day != UNKNOWN) & (day <= parameters.as_of_day)
    is_known &= container != UNKNOWN
    low, high = seeds.plausible("temp")
    plausible = (value >= low) & (value <= high)
    bad = rejected(
        "environmental_environmentalreading",
        ints(readings, "reading_id")[is_known & ~plausible],
        "temperature out of range",
    )
    used = is_known & plausible
    ones = np.ones(int(used.sum()), dtype=np.int64)
    return _added(container[used], day[used], value[used], ones), bad


def daily_means(sums: DaySums) -> DailyMeans:
    """Average the readings of each container and day; a day may have been added up in parts."""
    added = _added(sums.container_id, sums.day, sums.total_c, sums.reading_count)
    return DailyMeans(added.container_id, added.day, added.total_c / added.reading_count)


def _added(
    container_id: IntArray, day: IntArray, total_c: RealArray, reading_count: IntArray
) -> DaySums:
    known, place = np.unique(container_id, return_inverse=True)
    key, group = np.unique(day_key(place, day), return_inverse=True)
    first = np.full(len(key), -1, dtype=np.int64)
    first[group] = np.arange(len(group))
    return DaySums(
        container_id=known[place][first],
        day=day[first],
        total_c=np.bincount(group, weights=total_c, minlength=len(key)).astype(np.float64),
        reading_count=np.bincount(group, weights=reading_count, minlength=len(key)).astype(
            np.int64
        ),
    )


def fill_gaps(
    means: DailyMeans,
    container_id: IntArray,
    day: IntArray,
    profile_c: RealArray,
    parameters: Parameters,
    seeds: Seeds,
) -> Temperatures:
    """Find the temperature of containers on days.

    The first that exists of

    1. the day's mean (`measured`);
    2. between the nearest measured days b before and a after, where `a - b` is at most
       `max_interpolation_gap_days`: `T = T_b + (T_a - T_b) * (d - b) / (a - b)` (`interpolated`);
    3. the nearest measured day at most `max_nearest_gap_days` away, of two the earlier
       (`nearest`);
    4. the scenario's profile (`profile`).

    Parameters
    ----------
    means : DailyMeans
        Days with readings, whichever batch the container held then.
    container_id : int64 [n]
        Containers.
    day : int64 [n]
        Days since 1970-01-01.
    profile_c : float64 [n]
        The scenario's profile on the day [°C], NaN where it says nothing.
    parameters : Parameters
        How far gaps may reach.
    seeds : Seeds
        Confidence by source.

    Returns
    -------
    Temperatures
        Temperature [°C], its source and confidence.

    """
    known = np.unique(means.container_id)
    place = positions(container_id, known)
    keys = day_key(positions(means.container_id, known), means.day)
    wanted = np.where(place >= 0, day_key(place, day), -1)

    right = np.searchsorted(keys, wanted, side="right")
    at_before, at_after = right - 1, right
    same_before = (at_before >= 0) & (place >= 0)
    same_before &= (
        take(means.container_id, np.where(same_before, at_before, -1), -1) == container_id
    )
    same_after = (at_after < len(keys)) & (place >= 0)
    same_after &= take(means.container_id, np.where(same_after, at_after, -1), -1) == container_id
    at_before = np.where(same_before, at_before, -1)
    at_after = np.where(same_after, at_after, -1)
    day_before, temp_before = take(means.day, at_before, 0), take(means.temp_c, at_before, np.nan)
    day_after, temp_after = take(means.day, at_after, 0), take(means.temp_c, at_after, np.nan)

    measured = same_before & (day_before == day)
    gap = np.where(same_before & same_after, day_after - day_before, np.iinfo(np.int64).max)
    between = ~measured & (gap <= parameters.max_interpolation_gap_days)
    far = np.iinfo(np.int64).max
    away_before = np.where(same_before, day - day_before, far)
    away_after = np.where(same_after, day_after - day, far)
    nearest = np.minimum(away_before, away_after) <= parameters.max_nearest_gap_days
    nearest &= ~measured & ~between
    profile = ~measured & ~between & ~nearest & ~np.isnan(profile_c)

    share = (day - day_before) / np.where(between, gap, 1)
    temp_c = np.select(
        [measured, between, nearest, profile],
        [
            temp_before,
            temp_before + (temp_after - temp_before) * share,
            np.where(away_before <= away_after, temp_before, temp_after),
            profile_c,
        ],
        np.nan,
    )
    source = np.full(len(day), "none", dtype=object)
    confidence = np.full(len(day), seeds.confidence("temp", "none"))
    is_short = between & (gap <= parameters.short_interpolation_gap_days)
    for rows, name, seed in (
        (measured, "measured", "measured"),
        (between & is_short, "interpolated", "interpolated_short"),
        (between & ~is_short, "interpolated", "interpolated"),
        (nearest, "nearest", "nearest"),
        (profile, "profile", "profile"),
    ):
        source[rows] = name
        confidence[rows] = seeds.confidence("temp", seed)
    return Temperatures(temp_c, source, confidence)


def check_profiles(farm: Farm, seeds: Seeds) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the profile days that can be true, and the others (outside -2 to 30 °C)."""
    frame = farm.temperature_profile_days
    temp_c = reals(frame, "temp_c")
    low, high = seeds.plausible("temp")
    bad = ~np.isnan(temp_c) & ~((temp_c >= low) & (temp_c <= high))
    return frame[~bad].reset_index(drop=True), rejected(
        "scenario_temperaturereading",
        ints(frame, "temperature_profile_day_id")[bad],
        "temperature out of range",
    )


def profile_temperatures(
    days: pd.DataFrame, profile_id: IntArray, day_number: IntArray
) -> RealArray:
    """Read temperature profiles, linear between their days, first and last day held.

    Parameters
    ----------
    days : DataFrame
        Columns temperature_profile_id, day_number and temp_c [°C]; two rows of one day are
        averaged.
    profile_id : int64 [n]
        Profiles.
    day_number : int64 [n]
        Days of the batch; its first is 1.

    Returns
    -------
    float64 [n]
        Temperature [°C]; NaN where the profile has no days.

    """
    result = np.full(len(day_number), np.nan)
    usable = days[(ints(days, "day_number") != UNKNOWN) & ~np.isnan(reals(days, "temp_c"))]
    table = usable.groupby(["temperature_profile_id", "day_number"], as_index=False)[
        "temp_c"
    ].mean()
    profiles, inverse = np.unique(profile_id, return_inverse=True)
    for index, profile in enumerate(profiles):
        rows = table[table["temperature_profile_id"] == profile].sort_values("day_number")
        if len(rows):
            wanted = inverse == index
            result[wanted] = np.interp(
                day_number[wanted], ints(rows, "day_number"), reals(rows, "temp_c")
            )
    return result
