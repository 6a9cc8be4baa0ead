"""The forecast: every open assignment followed from its newest smoothed state to harvest size.

A day at a time, with the step of the plans (`plans.next_day`): the water of the profile plus what
the site has differed from it lately, the scenario's TGC times the calibrated factor, the deaths of
the model. The band grows by the process noise of the smoothed series and by the error of the TGC,
which is the same every day. All assignments advance together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference import activity, scenarios, temperatures
from anchorline.reference.growth import TOLERANCE
from anchorline.reference.inputs import Farm, Parameters, Seeds
from anchorline.reference.plans import (
    Fish,
    PlanModels,
    Plans,
    find_plans,
    next_day,
    plan_models,
    profile_temperatures,
)
from anchorline.reference.smoothing import Smoothed, weight_band
from anchorline.reference.states import Result, round_half_up
from anchorline.reference.tables import (
    UNKNOWN,
    BoolArray,
    IntArray,
    RealArray,
    day_numbers,
    ints,
    positions,
    reals,
    take,
    texts,
)

DECIMALS: Final = {
    "smoothed_weight_g": 4,
    "smoothed_biomass_kg": 2,
    "temperature_bias_c": 2,
    "forecast_weight_g": 4,
    "forecast_weight_low_g": 4,
    "forecast_weight_high_g": 4,
    "forecast_biomass_kg": 2,
    "harvest_weight_g": 4,
    "transfer_weight_g": 4,
    "expected_harvest_weight_g": 4,
    "expected_harvest_biomass_kg": 2,
    "expected_transfer_weight_g": 4,
    "expected_transfer_biomass_kg": 2,
}
"""Decimals of the published columns, by column."""

OPEN_ACTIVITIES: Final = ("PENDING", "IN_PROGRESS")
"""What the status of a planned activity is while it is still to be done."""


@dataclass(frozen=True)
class Forecast:
    """The forecast of a farm.

    ``daily`` and ``containers`` have the columns of `forecast_daily` (a row per open assignment
    and day to come) and `container_forecast` (one per open assignment), rounded as published.
    ``days`` are those of `int_forecast_days`, unrounded, from the day of the forecast
    (days_ahead 0) on: root [g^(1/3)] and root_variance [g^(2/3)].
    """

    daily: pd.DataFrame
    containers: pd.DataFrame
    days: pd.DataFrame


@dataclass(frozen=True)
class OpenStays:
    """The assignments that hold fish on the day of the forecast; one entry per assignment.

    `frame` names them: assignment_id, batch_id, batch_number, container_id, container_name.
    `plan` is the position of the scenario in force; `root` [g^(1/3)] and `root_variance`
    [g^(2/3)] are those of the smoothed series.
    """

    frame: pd.DataFrame
    plan: IntArray
    stage: IntArray
    days_in_stage: IntArray
    population: IntArray
    root: RealArray
    root_variance: RealArray

    def __len__(self) -> int:
        """Return the number of assignments."""
        return len(self.plan)

    @property
    def fish(self) -> Fish:
        """The fish, with the weight `max(x, 0)^3`; no fraction of a dead fish is carried."""
        weight = np.maximum(self.root, 0.0) ** 3
        fish = Fish.of(self.stage, self.population, weight)
        return replace(fish, days_in_stage=self.days_in_stage)


@dataclass(frozen=True)
class GrowthFactors:
    """What TGCs are multiplied by, and its coefficient of variation: float64 [stays, stages]."""

    factor: RealArray
    cv: RealArray


@dataclass(frozen=True)
class Moment:
    """The first day on which something is so; one entry per assignment.

    `days_ahead` is -1 where it never is. Weights in g; 0 where it never is.
    """

    days_ahead: IntArray
    population: IntArray
    weight_g: RealArray

    @classmethod
    def never(cls, size: int) -> Moment:
        """Return moments that have not come."""
        return cls(np.full(size, -1), np.zeros(size, dtype=np.int64), np.zeros(size))

    def come(self, is_so: BoolArray, days_ahead: int, fish: Fish) -> Moment:
        """Note a day on which it is so, where it has not been before."""
        now = is_so & (self.days_ahead < 0)
        return Moment(
            np.where(now, days_ahead, self.days_ahead),
            np.where(now, fish.population, self.population),
            np.where(now, fish.weight_g, self.weight_g),
        )


@dataclass(frozen=True)
class Moments:
    """When the fish have reached harvest size: half of such groups, one in ten, nine in ten.

    `transfer` is when they enter the next stage, of those that are below its weight. `last_day`
    is the last of days_ahead.
    """

    last_day: IntArray
    harvest: Moment
    harvest_p10: Moment
    harvest_p90: Moment
    transfer: Moment


def forecasts(
    farm: Farm,
    seeds: Seeds,
    parameters: Parameters,
    result: Result,
    smoothed: Smoothed,
    plan_days: pd.DataFrame,
) -> Forecast:
    """Compute the forecast of all open assignments as of the last day of the states.

    Parameters
    ----------
    farm, seeds, parameters
        What the states are computed from.
    result, smoothed
        The states, and their series in hindsight.
    plan_days : frame
        The days of all plans (`plans.plan_days`).

    """
    stays, _ = activity.check_assignments(farm, parameters, seeds)
    usable, changes, _ = scenarios.check_scenarios(farm, seeds)
    profile_days, _ = temperatures.check_profiles(farm, seeds)
    plans = find_plans(farm, usable)
    plans = plans.only(plans.is_in_force)
    models = plan_models(farm, plans, changes, parameters, seeds)
    day = parameters.as_of_day
    begun = open_stays(stays, plans, models, result, smoothed, day)
    factors = growth_factors(farm, seeds, begun, models)
    profiles = scenarios.all_profiles(profile_days, seeds)
    harvest_g = harvest_weights(models, begun, seeds.forecast("harvest_weight_g"))

    longest = int(seeds.forecast("longest_forecast_days"))
    first_day = np.full(len(plans), day + 1)
    water = profile_temperatures(plans, models.periods, first_day, longest, profiles)
    bias = temperature_bias(plans, models, begun, result, profiles, seeds, day)
    days, moments = follow(
        begun,
        plans,
        models,
        factors,
        water[:, begun.plan] + bias,
        harvest_g,
        process_noise=_process_noise(farm, seeds),
        harvest_quantile_z=seeds.forecast("harvest_quantile_z"),
        day=day,
    )
    days = _named(days, begun, models, day)
    return Forecast(
        daily=_daily(days, begun),
        containers=_containers(
            farm, seeds, begun, models, moments, bias, harvest_g, plan_days, day
        ),
        days=days.drop(columns=["stay", "stage", "weight_g"]),
    )


def open_stays(
    stays: activity.Stays,
    plans: Plans,
    models: PlanModels,
    result: Result,
    smoothed: Smoothed,
    day: int,
) -> OpenStays:
    """Return the assignments with fish at the end of a day that are not known to end by the next.

    An assignment ends with its departure day, or without one with the last day of the stay.
    """
    states = result.states
    stay = stays.at(ints(states, "assignment_id"))
    here = (day_numbers(states, "state_date") == day) & (ints(states, "population") > 0)
    departure = stays.departure_day[stay]
    end = np.where(departure != UNKNOWN, departure, stays.last_day[stay])
    here &= end > day + 1
    found, series = states[here].reset_index(drop=True), smoothed.unrounded[here]
    stage = positions(ints(found, "lifecycle_stage_id"), models.stages.lifecycle_stage_id)
    since = states[["assignment_id", "lifecycle_stage_id"]].value_counts()
    in_stage = since.reindex(pd.MultiIndex.from_frame(found[list(since.index.names)]))
    names = ["assignment_id", "batch_id", "batch_number", "container_id", "container_name"]
    return OpenStays(
        frame=found[names],
        plan=positions(ints(found, "batch_id"), plans.scenario.batch_id),
        stage=stage,
        days_in_stage=np.asarray(in_stage.to_numpy(), dtype=np.int64),
        population=ints(found, "population"),
        root=reals(series, "smoothed_root"),
        root_variance=reals(series, "smoothed_variance"),
    )


def temperature_bias(
    plans: Plans,
    models: PlanModels,
    begun: OpenStays,
    result: Result,
    profiles: pd.DataFrame,
    seeds: Seeds,
    day: int,
) -> RealArray:
    """Return by how much the water of each assignment has lately differed from the profile.

    The mean of measured minus profile temperature over the last `bias_days` days, of those that
    are measured; at most `largest_bias_c` either way, 0 where none is. float64 [stays], °C.
    """
    window = int(seeds.forecast("bias_days"))
    states = result.states
    days_ago = day - day_numbers(states, "state_date")
    stay = positions(ints(states, "assignment_id"), ints(begun.frame, "assignment_id"))
    measured = (texts(states, "temp_source") == "measured") & (stay >= 0)
    measured &= (days_ago >= 0) & (days_ago < window)
    stay, days_ago = stay[measured], days_ago[measured]

    first_day = np.full(len(plans), day - window + 1)
    profile = profile_temperatures(plans, models.periods, first_day, window, profiles)
    above = reals(result.unrounded, "temp_c")[measured]
    above = above - profile[window - 1 - days_ago, begun.plan[stay]]
    stay, above = stay[~np.isnan(above)], above[~np.isnan(above)]
    number = np.bincount(stay, minlength=len(begun))
    total = np.bincount(stay, weights=above, minlength=len(begun))
    largest = seeds.forecast("largest_bias_c")
    return np.clip(total / np.maximum(number, 1), -largest, largest)


def growth_factors(farm: Farm, seeds: Seeds, begun: OpenStays, models: PlanModels) -> GrowthFactors:
    """Return the calibrated factors of the newest calibration.

    For the stage in which an assignment stands that of its container's site, where there is one;
    for it and others that over all sites; else 1, with the coefficient of variation
    `model_tgc_cv`.
    """
    newest = ints(farm.calibrations, "calibration_id").max(initial=UNKNOWN)
    table = farm.calibrated_tgc
    table = table[ints(table, "calibration_id") == newest]
    table = table.assign(
        cv=np.sqrt(reals(table, "tgc_factor_variance")) / reals(table, "tgc_factor")
    )
    everywhere = table[texts(table, "site_kind") == "all"]
    at = positions(models.stages.lifecycle_stage_id, ints(everywhere, "lifecycle_stage_id"))
    factor = np.tile(take(reals(everywhere, "tgc_factor"), at, 1.0), (len(begun), 1))
    cv = take(reals(everywhere, "cv"), at, seeds.forecast("model_tgc_cv"))
    cv = np.tile(cv, (len(begun), 1))

    own = _sites(farm, ints(begun.frame, "container_id")).assign(
        lifecycle_stage_id=models.stages.lifecycle_stage_id[begun.stage]
    )
    own = own.merge(table, how="left", on=["lifecycle_stage_id", "site_kind", "site_id"])
    has_own = own["tgc_factor"].notna().to_numpy(dtype=np.bool_)
    which, stage = np.flatnonzero(has_own), begun.stage[has_own]
    factor[which, stage] = reals(own, "tgc_factor")[has_own]
    cv[which, stage] = reals(own, "cv")[has_own]
    return GrowthFactors(factor, cv)


def harvest_weights(models: PlanModels, begun: OpenStays, harvest_weight_g: float) -> RealArray:
    """Return the weight [g] of each assignment at harvest.

    `harvest_weight_g` or, where that is less, the limit of the last stage that the fish reach. A
    limit of 0 or less says nothing of when fish are sold.
    """
    stage = begun.stage
    while not models.is_last(stage).all():
        stage = np.where(models.is_last(stage), stage, models.stages.following[stage])
    limit_g = models.limit_g[begun.plan, stage]
    return np.minimum(np.where(limit_g > 0, limit_g, np.inf), harvest_weight_g)


def is_below_transfer(begun: OpenStays, models: PlanModels) -> BoolArray:
    """Say which fish have a next stage, and have not reached the weight at which it begins."""
    has_reached = models.has_reached_limit(begun.plan, begun.fish)
    return np.asarray(~models.is_last(begun.stage) & ~has_reached)


def follow(
    begun: OpenStays,
    plans: Plans,
    models: PlanModels,
    factors: GrowthFactors,
    temp_c: RealArray,
    harvest_g: RealArray,
    *,
    process_noise: float,
    harvest_quantile_z: float,
    day: int,
) -> tuple[pd.DataFrame, Moments]:
    """Let the fish live until nine in ten such groups have reached harvest size.

    The weight W follows `plans.next_day`. Its root `x = W^(1/3)` has the variance
    `V = P0 + q D + E^2`: D are the degree-days `sum(max(T, 0))` since the start, E is the sum of
    the days' growth in x, each times the coefficient of variation of its TGC factor (that of the
    stage in which it was grown): a TGC that is too high is so every day. Reached is harvest size H
    by `x + z sqrt(V)`, x or `x - z sqrt(V)` at or above `H^(1/3) - 1e-9`: in one of ten groups, in
    half of them, in nine of ten.

    Parameters
    ----------
    begun : OpenStays
        The fish on the day of the forecast.
    plans, models
        The scenarios in force, and what they say.
    factors : GrowthFactors
        What TGCs are multiplied by, above 0, and how well that is known.
    temp_c : float64 [days, stays]
        Water temperature of the days after it [°C], NaN where unknown; as many days are followed.
    harvest_g : float64 [stays]
        H, above 0 [g].
    process_noise : float
        q, 0 or more [g^(2/3) per degree-day].
    harvest_quantile_z : float
        z: 90 % quantile of the standard normal distribution [-].
    day : int
        Day of the forecast, since 1970-01-01.

    Returns
    -------
    days : frame
        stay and stage (positions), days_ahead (0, 1, ...), population, weight_g [g], root
        [g^(1/3)] and root_variance [g^(2/3)]; sorted by days_ahead, then stay.
    moments : Moments
        When harvest size and the next stage are reached.

    """
    size = len(begun)
    stay, plan = np.arange(size), begun.plan
    fish = begun.fish
    goal = np.cbrt(harvest_g) - TOLERANCE
    may_move = is_below_transfer(begun, models)
    root, growth_error, degree_days = np.cbrt(fish.weight_g), np.zeros(size), np.zeros(size)
    lives = np.ones(size, dtype=np.bool_)
    half, first, last, transfer = (Moment.never(size) for _ in range(4))
    last_day, found = np.zeros(size, dtype=np.int64), []
    for days_ahead in range(len(temp_c) + 1):
        if days_ahead > 0:
            water = temp_c[days_ahead - 1]
            period = models.periods.at(plan, day + days_ahead - plans.batch_start_day[plan] + 1)
            stage = fish.stage
            fish = next_day(fish, plan, period, water, models, factors.factor[stay, stage])
            grown = np.cbrt(fish.weight_g)
            growth_error = growth_error + (grown - root) * factors.cv[stay, stage]
            degree_days = degree_days + np.fmax(water, 0.0)
            root = grown
        variance = begun.root_variance + process_noise * degree_days + growth_error**2
        row = (stay, fish.stage, np.full(size, days_ahead), fish.population, fish.weight_g, root)
        found.append([values[lives] for values in (*row, variance)])

        last_day = np.where(lives, days_ahead, last_day)
        reach = harvest_quantile_z * np.sqrt(variance)
        half = half.come(lives & (root >= goal), days_ahead, fish)
        first = first.come(lives & (root + reach >= goal), days_ahead, fish)
        last = last.come(lives & (root - reach >= goal), days_ahead, fish)
        has_moved = lives & may_move & (fish.stage != begun.stage)
        transfer = transfer.come(has_moved, days_ahead, fish)
        lives = lives & (last.days_ahead < 0)
        if not lives.any():
            break
    columns = ["stay", "stage", "days_ahead", "population", "weight_g", "root", "root_variance"]
    values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    days = pd.DataFrame(dict(zip(columns, values, strict=True)))
    return days, Moments(last_day, half, first, last, transfer)


def _process_noise(farm: Farm, seeds: Seeds) -> float:
    """Return q of the newest calibration that has one, else that of the seeds."""
    fits = farm.calibrations.dropna(subset="process_noise").sort_values("calibration_id")
    return float(fits["process_noise"].iloc[-1]) if len(fits) else seeds.smoothing("process_noise")


def _sites(farm: Farm, container_id: IntArray) -> pd.DataFrame:
    """Return site_kind and site_id of containers: a sea area, or the station of the hall."""
    at = positions(container_id, ints(farm.containers, "container_id"))
    area = take(ints(farm.containers, "area_id"), at, UNKNOWN)
    hall = take(ints(farm.containers, "hall_id"), at, UNKNOWN)
    in_hall = positions(hall, ints(farm.halls, "hall_id"))
    station = take(ints(farm.halls, "freshwater_station_id"), in_hall, UNKNOWN)
    is_station = area == UNKNOWN
    return pd.DataFrame(
        {
            "site_kind": np.where(is_station, "station", "area").astype(object),
            "site_id": np.where(is_station, station, area),
        }
    )


def _planned_day(plan_days: pd.DataFrame, batch_id: IntArray, harvest_g: RealArray) -> IntArray:
    """Return the first day on which the plan in force has a weight, `UNKNOWN` without one."""
    in_force = plan_days[plan_days["is_in_force"]]
    days = in_force[["batch_id", "weight_g"]].assign(day=day_numbers(in_force, "state_date"))
    wanted = pd.DataFrame({"batch_id": batch_id, "harvest_g": harvest_g}).drop_duplicates()
    reached = wanted.merge(days, on="batch_id")
    reached = reached[reached["weight_g"] >= reached["harvest_g"] - TOLERANCE]
    first = reached.groupby(["batch_id", "harvest_g"])["day"].min()
    keys = pd.MultiIndex.from_arrays([batch_id, harvest_g])
    return first.reindex(keys, fill_value=UNKNOWN).to_numpy(dtype=np.int64)


def _has_planned(farm: Farm, begun: OpenStays, activity_type: str) -> BoolArray:
    """Say for which assignments an activity is still to be done: of the batch, nowhere else."""
    planned = farm.planned_activities
    planned = planned[
        (texts(planned, "activity_type") == activity_type)
        & np.isin(texts(planned, "activity_status"), OPEN_ACTIVITIES)
    ]
    anywhere = ints(planned, "container_id") == UNKNOWN
    of_batch = np.isin(ints(begun.frame, "batch_id"), ints(planned, "batch_id")[anywhere])
    keys = ["batch_id", "container_id"]
    here = pd.MultiIndex.from_frame(begun.frame[keys]).isin(pd.MultiIndex.from_frame(planned[keys]))
    return np.asarray(of_batch | here)


def _named(days: pd.DataFrame, begun: OpenStays, models: PlanModels, day: int) -> pd.DataFrame:
    """Sort the days of `follow` by assignment, and add ids and dates."""
    days = days.sort_values(["stay", "days_ahead"], ignore_index=True)
    stage = ints(days, "stage")
    return days.assign(
        assignment_id=ints(begun.frame, "assignment_id")[ints(days, "stay")],
        batch_id=ints(begun.frame, "batch_id")[ints(days, "stay")],
        computed_date=_dates(np.full(len(days), day)),
        state_date=_dates(day + ints(days, "days_ahead")),
        lifecycle_stage_id=models.stages.lifecycle_stage_id[stage],
        lifecycle_stage_name=models.stages.name[stage],
    )


def _daily(days: pd.DataFrame, begun: OpenStays) -> pd.DataFrame:
    """Return the columns of `forecast_daily`."""
    days = days[days["days_ahead"] > 0].reset_index(drop=True)
    low, high = weight_band(reals(days, "root"), reals(days, "root_variance"))
    names = begun.frame.iloc[ints(days, "stay")].reset_index(drop=True)
    stage = ["lifecycle_stage_id", "lifecycle_stage_name", "population"]
    return _rounded(
        pd.concat(
            [names, days[["computed_date", "state_date", "days_ahead", *stage]]], axis=1
        ).assign(
            forecast_weight_g=reals(days, "weight_g"),
            forecast_weight_low_g=low,
            forecast_weight_high_g=high,
            forecast_biomass_kg=days["population"] * days["weight_g"] / 1000.0,
        )
    )


def _containers(
    farm: Farm,
    seeds: Seeds,
    begun: OpenStays,
    models: PlanModels,
    moments: Moments,
    bias: RealArray,
    harvest_g: RealArray,
    plan_days: pd.DataFrame,
    day: int,
) -> pd.DataFrame:
    """Return the columns of `container_forecast`."""
    harvest, transfer = moments.harvest, moments.transfer
    planned_day = _planned_day(plan_days, ints(begun.frame, "batch_id"), harvest_g)
    expected_day = _day_of(harvest, day)
    is_known = (expected_day != UNKNOWN) & (planned_day != UNKNOWN)
    behind = np.where(is_known, expected_day - planned_day, 0)
    limit_g = models.limit_g[begun.plan, begun.stage]
    has_harvest = _has_planned(farm, begun, "HARVEST")
    has_transfer = _has_planned(farm, begun, "TRANSFER")
    soon = seeds.forecast("attention_days")
    needs_attention = _is_soon(harvest, soon) & ~has_harvest
    needs_attention |= _is_soon(transfer, soon) & ~has_transfer
    return _rounded(
        begun.frame.assign(
            computed_date=_dates(np.full(len(begun), day)),
            last_forecast_date=_dates(day + moments.last_day),
            lifecycle_stage_id=models.stages.lifecycle_stage_id[begun.stage],
            lifecycle_stage_name=models.stages.name[begun.stage],
            smoothed_weight_g=begun.fish.weight_g,
            population=begun.population,
            smoothed_biomass_kg=begun.population * begun.fish.weight_g / 1000.0,
            temperature_bias_c=bias,
            harvest_weight_g=harvest_g,
            expected_harvest_date=_dates(expected_day),
            harvest_date_p10=_dates(_day_of(moments.harvest_p10, day)),
            harvest_date_p90=_dates(_day_of(moments.harvest_p90, day)),
            planned_harvest_date=_dates(planned_day),
            harvest_days_behind_plan=_whole(behind, is_known),
            transfer_weight_g=np.where(
                is_below_transfer(begun, models) & np.isfinite(limit_g), limit_g, np.nan
            ),
            expected_transfer_date=_dates(_day_of(transfer, day)),
            has_planned_harvest=has_harvest,
            has_planned_transfer=has_transfer,
            needs_attention=needs_attention,
            forecast_tier=np.select(
                [needs_attention, has_harvest | has_transfer],
                ["NEEDS_PLANNING", "PLANNED"],
                "PROJECTED",
            ).astype(object),
            **_fish_at("expected_harvest", harvest),
            **_fish_at("expected_transfer", transfer),
        )
    )


def _is_soon(moment: Moment, days: float) -> BoolArray:
    return np.asarray((moment.days_ahead >= 0) & (moment.days_ahead <= days))


def _day_of(moment: Moment, day: int) -> IntArray:
    return np.where(moment.days_ahead >= 0, day + moment.days_ahead, UNKNOWN)


def _fish_at(name: str, moment: Moment) -> dict[str, RealArray | pd.Series]:
    """Return weight, number and biomass of a moment as columns, null where it never comes."""
    comes = moment.days_ahead >= 0
    weight = np.where(comes, moment.weight_g, np.nan)
    return {
        f"{name}_weight_g": weight,
        f"{name}_population": _whole(moment.population, comes),
        f"{name}_biomass_kg": moment.population * weight / 1000.0,
    }


def _whole(values: IntArray, known: BoolArray) -> pd.Series:
    return pd.Series(values, dtype="Int64").mask(pd.Series(~known))


def _dates(day: IntArray) -> np.ndarray:
    """Return days since 1970-01-01 as dates, `UNKNOWN` as none."""
    # the lowest whole number is NaT
    return day.astype("datetime64[D]").astype("datetime64[s]")


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(
        **{
            name: round_half_up(reals(frame, name), decimals)
            for name, decimals in DECIMALS.items()
            if name in frame
        }
    )
