"""All steps in order, and the columns of `daily_assignment_states`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference import (
    activity,
    anchors,
    deaths,
    feed,
    growth,
    movements,
    scenarios,
    stocking,
    temperatures,
)
from anchorline.reference.inputs import Farm, Parameters, Seeds
from anchorline.reference.tables import (
    UNKNOWN,
    IntArray,
    RealArray,
    day_key,
    ints,
    positions,
    reals,
    rejected,
    take,
    texts,
)

DECIMALS: Final = {
    "avg_weight_g": 4,
    "biomass_kg": 2,
    "temp_c": 2,
    "feed_kg": 4,
    "observed_fcr": 3,
    "gain_kg": 4,
}
"""Decimals of the published columns, by column."""


@dataclass(frozen=True)
class Result:
    """What the reference computes.

    ``states`` has the columns of `daily_assignment_states`, rounded as published, one row per
    assignment and day, sorted by both; ``unrounded`` has, row for row, assignment_id, state_date
    and the exact values (weight_g, biomass_kg, gain_kg, ...). ``rejected`` lists the records that
    were not used: table_name, record_id, reason. ``movements`` are all groups of fish,
    ``measurements`` all measured mean weights: anchor_type, record_id, assignment_id, anchor_date,
    weight_g, sample_size, std_deviation_weight_g, anchor_status.
    """

    states: pd.DataFrame
    unrounded: pd.DataFrame
    rejected: pd.DataFrame
    movements: pd.DataFrame
    measurements: pd.DataFrame


def daily_assignment_states(
    farm: Farm, seeds: Seeds, parameters: Parameters, sums: temperatures.DaySums | None = None
) -> Result:
    """Compute the daily states of a farm from what its staging views hold.

    `sums` stand in the place of the farm's readings, where these were added up before.
    """
    stays, bad_stays = activity.check_assignments(farm, parameters, seeds)
    days = activity.active_days(stays)

    # scenarios and what they say
    usable, changes, bad_scenarios = scenarios.check_scenarios(farm, seeds)
    profile_days, bad_profile_days = temperatures.check_profiles(farm, seeds)
    stages = scenarios.stage_order(farm.lifecycle_stages)
    chosen = scenarios.choose_scenarios(farm, usable)
    least_g, most_g = scenarios.constraint_limits(farm, chosen, stages)
    periods = scenarios.periods(farm, chosen, changes, stages, parameters, seeds)
    batch = scenarios.batch_positions(stays, chosen)
    period = periods.at(batch[days.stay], days.day_number)

    # water
    own_sums, bad_readings = temperatures.day_sums(farm, parameters, seeds)
    water = temperatures.fill_gaps(
        temperatures.daily_means(own_sums if sums is None else sums),
        stays.container_id[days.stay],
        days.day,
        temperatures.profile_temperatures(
            scenarios.all_profiles(profile_days, seeds), periods.profile_id[period], days.day_number
        ),
        parameters,
        seeds,
    )

    # records
    transfers, bad_transfers = movements.check_transfers(farm, stays, parameters, seeds)
    creations, bad_creations = stocking.check_creations(farm, stays, parameters)
    harvests, bad_harvests = movements.check_harvests(farm, stays, parameters)
    died, bad_deaths = deaths.recorded_deaths(farm, stays, parameters)
    weighed, bad_weights = anchors.measurements(farm, transfers, stays, parameters, seeds)
    daily_anchors = anchors.daily_anchors(weighed, seeds)

    # where the fish came from
    rebuilt = stocking.rebuilt_counts(stays, transfers, creations, harvests, died)
    inferred = stocking.infer_transfers(stays, rebuilt, transfers, creations, harvests, parameters)
    own_weight = reals(stays.frame, "avg_weight_g")
    start_g = stocking.start_weights(
        stays,
        creations,
        chosen,
        least_g,
        stages,
        anchors.implausible(own_weight, seeds),
        seeds.constant("default_start_weight_g"),
        seeds.plausible("weight"),
    )
    moved, bad_mortality = movements.movements(
        stays,
        transfers.assign(
            measured_g=anchors.used_transfer_weights(transfers, farm.anchor_exclusions)
        ),
        creations,
        harvests,
        rebuilt,
        inferred,
        daily_anchors,
        start_g,
        parameters.as_of_day,
    )

    # the recursion
    inputs, anchor = _day_inputs(
        days, batch, period, water, died, daily_anchors, moved, parameters.as_of_day
    )
    start_stage = positions(stays.lifecycle_stage_id, stages.lifecycle_stage_id)
    caps = scenarios.stage_caps(stages, seeds)[start_stage]
    states = growth.grow(
        inputs,
        _arrivals(moved, days, parameters.as_of_day),
        _under_way(moved, days, batch, parameters.as_of_day),
        growth.Biology(
            tgc=periods.tgc,
            exponent_n=periods.exponent_n,
            exponent_m=periods.exponent_m,
            rate=periods.rate,
            limit_g=scenarios.weight_limits(most_g, stages),
            following=stages.following,
            cap_g=caps if parameters.stage_caps_enabled else np.full(len(stays), np.inf),
        ),
        start_g,
        start_stage,
        formula=parameters.growth_formula,
        missing_mortality=parameters.missing_mortality,
    )

    # what follows from the states
    eaten, bad_feed = feed.check_feed(farm, stays, parameters)
    feed_kg = feed.feed_per_state(eaten, stays, days, states)
    gain_kg = feed.gain_kg(
        states.stayed + inputs.arrived,
        states.died,
        states.mixed_weight_g,
        states.modelled_weight_g,
    )
    fcr = feed.feed_conversion(feed_kg, gain_kg, parameters)

    exact = pd.DataFrame(
        {
            "assignment_id": stays.assignment_id[days.stay],
            "state_date": days.day.astype("datetime64[D]").astype("datetime64[s]"),
            "population": states.population,
            "weight_g": states.weight_g,
            "mixed_weight_g": states.mixed_weight_g,
            "modelled_weight_g": states.modelled_weight_g,
            "mortality_carry": states.mortality_carry,
            "biomass_kg": states.population * states.weight_g / 1000.0,
            "temp_c": water.temp_c,
            "feed_kg": feed_kg,
            "gain_kg": gain_kg,
            "observed_fcr": fcr,
        }
    )
    published = _published(
        farm, seeds, parameters, stays, days, chosen, batch, stages, water, daily_anchors, anchor,
        inputs, states, exact,
    )  # fmt: skip
    order = np.lexsort((days.day, stays.assignment_id[days.stay]))
    out_of_range = ~np.isnan(own_weight) & anchors.implausible(own_weight, seeds)
    bad = [
        bad_stays,
        rejected(
            "batch_batchcontainerassignment",
            stays.assignment_id[out_of_range],
            "weight out of range",
        ),
        *bad_scenarios,
        *scenarios.rejected_tgcs(farm, parameters, seeds),
        *scenarios.rejected_fcrs(farm, seeds),
        bad_profile_days,
        bad_readings,
        *bad_transfers,
        bad_creations,
        bad_harvests,
        *bad_deaths,
        *bad_weights,
        bad_mortality,
        bad_feed,
        _rejected_deaths(died, days, states, stays, batch, parameters.as_of_day),
    ]
    return Result(
        states=published.iloc[order].reset_index(drop=True),
        unrounded=exact.iloc[order].reset_index(drop=True),
        rejected=pd.concat(bad, ignore_index=True),
        movements=_movement_frame(moved, stays),
        measurements=_measurement_frame(weighed, stays),
    )


def round_half_up(values: RealArray, decimals: int) -> RealArray:
    """Round as SQL does: halves away from 0; NaN stays NaN."""
    factor = 10.0**decimals
    return np.asarray(np.sign(values) * np.floor(np.abs(values) * factor + 0.5) / factor)


def _day_inputs(
    days: activity.Days,
    batch: IntArray,
    period: IntArray,
    water: temperatures.Temperatures,
    died: deaths.Deaths,
    daily_anchors: anchors.Anchors,
    moved: movements.Movements,
    as_of_day: int,
) -> tuple[growth.DayInputs, IntArray]:
    """Return the recursion's inputs per state, and each state's anchor (-1: none)."""
    size = len(days)
    arrived, departed = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    row = days.row(moved.dest, moved.arrived_day)
    comes = (row >= 0) & (moved.departed_day <= as_of_day)
    np.add.at(arrived, row[comes], moved.fish_count[comes])
    row = days.row(moved.source, moved.departed_day)
    np.add.at(departed, row[row >= 0], moved.fish_count[row >= 0])

    recorded = np.full(size, -1, dtype=np.int64)
    row = days.row(died.stay, died.day)
    recorded[row[row >= 0]] = died.count[row >= 0]
    of_batch = positions(day_key(batch[days.stay], days.day), day_key(died.batch, died.batch_day))
    anchor = daily_anchors.at(days.stay, days.day)
    return (
        growth.DayInputs(
            first_day=days.first_day,
            bounds=days.bounds,
            stay=days.stay,
            batch=batch[days.stay],
            period=period,
            temp_c=water.temp_c,
            arrived=arrived,
            departed=departed,
            recorded_deaths=recorded,
            batch_deaths=take(died.batch_count, of_batch, -1),
            anchor_weight_g=take(daily_anchors.weight_g, anchor, np.nan),
        ),
        anchor,
    )


def _arrivals(moved: movements.Movements, days: activity.Days, as_of_day: int) -> growth.Arrivals:
    row = days.row(moved.dest, moved.arrived_day)
    kept = np.flatnonzero((row >= 0) & (moved.departed_day <= as_of_day))
    kept = kept[np.argsort(moved.arrived_day[kept], kind="stable")]
    return growth.Arrivals(
        source=moved.source[kept],
        row=row[kept],
        arrived_day=moved.arrived_day[kept],
        fish_count=moved.fish_count[kept],
        weight_g=moved.weight_g[kept],
        is_inferred=moved.is_inferred[kept],
    )


def _under_way(
    moved: movements.Movements, days: activity.Days, batch: IntArray, as_of_day: int
) -> growth.UnderWay:
    has_ended = (moved.source >= 0) & (days.row(moved.source, moved.departed_day) < 0)
    kept = has_ended & (moved.departed_day < moved.arrived_day) & (moved.arrived_day <= as_of_day)
    return growth.UnderWay(
        batch=batch[moved.source[kept]],
        departed_day=moved.departed_day[kept],
        arrived_day=moved.arrived_day[kept],
    )


def _published(
    farm: Farm,
    seeds: Seeds,
    parameters: Parameters,
    stays: activity.Stays,
    days: activity.Days,
    chosen: scenarios.BatchScenarios,
    batch: IntArray,
    stages: scenarios.Stages,
    water: temperatures.Temperatures,
    daily_anchors: anchors.Anchors,
    anchor: IntArray,
    inputs: growth.DayInputs,
    states: growth.GrowthStates,
    exact: pd.DataFrame,
) -> pd.DataFrame:
    stay = days.stay
    of_batch = batch[stay]
    container_id = stays.container_id[stay]
    place = positions(container_id, ints(farm.containers, "container_id"))
    feed_source = np.where(np.isnan(reals(exact, "feed_kg")), "none", "actual").astype(object)
    fcr_source = np.where(
        np.isnan(reals(exact, "observed_fcr")), "insufficient_data", "calculated"
    ).astype(object)
    feed_confidence = _confidence(seeds, "feed", feed_source)
    columns: dict[str, object] = {
        "batch_id": stays.batch_id[stay],
        "batch_number": texts(farm.batches, "batch_number")[of_batch],
        "assignment_id": stays.assignment_id[stay],
        "container_id": container_id,
        "container_name": take(texts(farm.containers, "container_name"), place, None),
        "lifecycle_stage_id": stages.lifecycle_stage_id[states.stage],
        "lifecycle_stage_name": stages.name[states.stage],
        "state_date": exact["state_date"],
        "day_number": days.day_number,
        "avg_weight_g": reals(exact, "weight_g"),
        "population": states.population,
        "biomass_kg": reals(exact, "biomass_kg"),
        "temp_c": water.temp_c,
        "mortality_count": states.died,
        "feed_kg": reals(exact, "feed_kg"),
        "observed_fcr": reals(exact, "observed_fcr"),
        "gain_kg": reals(exact, "gain_kg"),
        "arrived_count": inputs.arrived,
        "departed_count": inputs.departed,
        "count_adjustment": states.count_adjustment,
        "anchor_type": take(daily_anchors.anchor_type, anchor, None),
        "temp_source": water.temp_source,
        "temp_confidence": water.temp_confidence,
        "mortality_source": states.mortality_source,
        "mortality_confidence": _confidence(seeds, "mortality", states.mortality_source),
        "feed_source": feed_source,
        "feed_confidence": feed_confidence,
        "weight_source": states.weight_source,
        "weight_confidence": weight_confidence(seeds, states, water, daily_anchors, anchor),
        "fcr_source": fcr_source,
        "fcr_confidence": np.minimum(feed_confidence, _confidence(seeds, "fcr", fcr_source)),
        "is_provisional": days.day == parameters.as_of_day,
        "is_arrival_inferred": states.is_arrival_inferred,
        "scenario_id": _nullable(
            np.where(chosen.scenario_id == scenarios.BASELINE, UNKNOWN, chosen.scenario_id)[
                of_batch
            ]
        ),
        "scenario_source": chosen.scenario_source[of_batch],
        "planned_activity_id": _nullable(take(daily_anchors.planned_activity_id, anchor, UNKNOWN)),
    }
    for column, decimals in DECIMALS.items():
        columns[column] = round_half_up(np.asarray(columns[column], dtype=np.float64), decimals)
    return pd.DataFrame(columns)


def weight_confidence(
    seeds: Seeds,
    states: growth.GrowthStates,
    water: temperatures.Temperatures,
    daily_anchors: anchors.Anchors,
    anchor: IntArray,
) -> RealArray:
    """Return how far each weight is trusted, 0 to 1.

    The anchor's on its day; else the smaller of the temperature's and 0.6; 0.3 without
    temperature; at most 0.4 after an inferred arrival, until the next anchor.
    """
    source = states.weight_source
    modelled = np.where(
        source == "unchanged",
        seeds.confidence("weight", "unchanged"),
        np.minimum(
            water.temp_confidence,
            np.where(
                source == "capped",
                seeds.confidence("weight", "capped"),
                seeds.confidence("weight", "tgc_computed"),
            ),
        ),
    )
    modelled = np.where(
        states.is_arrival_inferred,
        np.minimum(modelled, seeds.confidence("weight", "arrival_inferred")),
        modelled,
    )
    return np.where(anchor >= 0, take(daily_anchors.confidence, anchor, np.nan), modelled)


def _confidence(seeds: Seeds, quantity: str, sources: np.ndarray) -> RealArray:
    known = seeds.confidence_by_source
    result = np.full(len(sources), np.nan)
    for source in known.loc[known["quantity"] == quantity, "source"]:
        result[sources == source] = seeds.confidence(quantity, str(source))
    return result


def _nullable(values: IntArray) -> pd.Series:
    return pd.Series(values, dtype="Int64").mask(pd.Series(values == UNKNOWN))


def _rejected_deaths(
    died: deaths.Deaths,
    days: activity.Days,
    states: growth.GrowthStates,
    stays: activity.Stays,
    batch: IntArray,
    as_of_day: int,
) -> pd.DataFrame:
    """List the death records of days on which the batch has no fish."""
    own_key = day_key(days.stay, days.day)[states.is_death_record_rejected]
    state_key = day_key(batch[days.stay], days.day)
    refused = np.unique(state_key[states.is_batch_record_rejected])
    with_record = np.concatenate(
        [day_key(ints(table, "batch"), ints(table, "day")) for table in (died.events, died.records)]
    )
    active_key = np.unique(state_key[np.isin(state_key, np.unique(with_record))])
    own_events = day_key(ints(died.events, "stay"), ints(died.events, "day"))
    alone_events = day_key(ints(died.events, "batch"), ints(died.events, "day"))
    parts = []
    for table, name in (
        (died.events, "batch_mortalityevent"),
        (died.records, "health_mortalityrecord"),
    ):
        stay, of = ints(table, "stay"), ints(table, "batch")
        day = ints(table, "day")
        key = day_key(of, day)
        alone = (of >= 0) & (day <= as_of_day) & (ints(table, "count") > 0)
        alone &= np.isin(key, refused) | ~np.isin(key, active_key)
        own = (ints(table, "count") > 0) & (stay >= 0) & np.isin(day_key(stay, day), own_key)
        if name == "health_mortalityrecord":  # where there are events too, it was not asked
            alone &= ~np.isin(key, alone_events)
            own &= ~np.isin(day_key(stay, day), own_events)
        parts.append(
            pd.DataFrame(
                {
                    "table_name": name,
                    "record_id": ints(table, "record_id")[alone | own],
                    "reason": "the batch has no fish on that day",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _dates(day: IntArray) -> np.ndarray:
    return day.astype("datetime64[D]").astype("datetime64[s]")


def _measurement_frame(weighed: pd.DataFrame, stays: activity.Stays) -> pd.DataFrame:
    kept = ["anchor_type", "record_id", "weight_g", "sample_size", "std_deviation_weight_g"]
    return weighed[[*kept, "anchor_status"]].assign(
        assignment_id=stays.assignment_id[ints(weighed, "stay")],
        anchor_date=_dates(ints(weighed, "day")),
    )


def _movement_frame(moved: movements.Movements, stays: activity.Stays) -> pd.DataFrame:
    def ids(at: IntArray) -> pd.Series:
        return _nullable(take(stays.assignment_id, at, UNKNOWN))

    return pd.DataFrame(
        {
            "from_assignment_id": ids(moved.source),
            "to_assignment_id": ids(moved.dest),
            "departed_date": _dates(moved.departed_day),
            "arrived_date": _dates(moved.arrived_day),
            "fish_count": moved.fish_count,
            "weight_g": moved.weight_g,
            "is_inferred": moved.is_inferred,
        }
    )
