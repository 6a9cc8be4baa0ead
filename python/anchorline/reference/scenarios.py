"""Which scenario serves each batch, and what it says of growth, deaths, stages and water."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference.activity import Stays
from anchorline.reference.inputs import Farm, Parameters, Seeds
from anchorline.reference.tables import (
    UNKNOWN,
    BoolArray,
    IntArray,
    RealArray,
    TextArray,
    ints,
    positions,
    reals,
    rejected,
    split_rejected,
    take,
    texts,
)

BASELINE: Final = -1
"""Stands for the baseline of the seeds where an id of a scenario, model or profile is asked for."""


@dataclass(frozen=True)
class BatchScenarios:
    """The scenario in force per batch; `scenario_id` is `BASELINE` where the seeds serve it."""

    batch_id: IntArray
    scenario_id: IntArray
    scenario_source: TextArray
    constraint_set_id: IntArray
    initial_weight_g: RealArray


@dataclass(frozen=True)
class Periods:
    """Days of a batch on which the same models hold, sorted by batch, then first day.

    All arrays have one entry per period; the tables one row per period and one column per stage,
    in the order of `Stages`. `rate` is the share of fish that die in a day.
    """

    batch: IntArray
    first_day_number: IntArray
    profile_id: IntArray
    tgc: RealArray
    exponent_n: RealArray
    exponent_m: RealArray
    rate: RealArray

    def at(self, batch: IntArray, day_number: IntArray) -> IntArray:
        """Return the period of each batch position and day; days before day 1 count as day 1."""
        span = 1 << 40
        keys = self.batch * span + self.first_day_number
        wanted = batch * span + np.maximum(day_number, 1)
        return np.searchsorted(keys, wanted, side="right").astype(np.int64) - 1


@dataclass(frozen=True)
class Stages:
    """The life stages, sorted by id; `following` is the position of the next one, -1 at the end."""

    lifecycle_stage_id: IntArray
    key: TextArray
    name: TextArray
    following: IntArray
    expected_weight_min_g: RealArray
    expected_weight_max_g: RealArray


def stage_order(frame: pd.DataFrame) -> Stages:
    """Return the stages with the one that follows each: the species' next higher `stage_order`."""
    species, order = ints(frame, "species_id"), ints(frame, "stage_order")
    stage_id = ints(frame, "lifecycle_stage_id")
    following = np.full(len(frame), -1, dtype=np.int64)
    for i in range(len(frame)):
        later = np.flatnonzero((species == species[i]) & (order > order[i]))
        if len(later):
            following[i] = later[np.lexsort((stage_id[later], order[later]))[0]]
    return Stages(
        lifecycle_stage_id=stage_id,
        key=texts(frame, "lifecycle_stage_key"),
        name=texts(frame, "lifecycle_stage_name"),
        following=following,
        expected_weight_min_g=reals(frame, "expected_weight_min_g"),
        expected_weight_max_g=reals(frame, "expected_weight_max_g"),
    )


def check_scenarios(
    farm: Farm, seeds: Seeds
) -> tuple[pd.DataFrame, pd.DataFrame, list[pd.DataFrame]]:
    """Return the eligible scenarios, the usable model changes, and what is rejected of both.

    A scenario is eligible when its TGC model and its mortality model exist; a change is usable
    when it has a day and the models that it names exist.
    """
    tgc_ids = ints(farm.tgc_models, "tgc_model_id")
    mortality_ids = ints(farm.mortality_models, "mortality_model_id")
    frame = farm.scenarios
    scenarios, bad_scenarios = split_rejected(
        frame,
        "scenario",
        "scenario_id",
        {
            "TGC model is missing": ~np.isin(ints(frame, "tgc_model_id"), tgc_ids),
            "mortality model is missing": ~np.isin(
                ints(frame, "mortality_model_id"), mortality_ids
            ),
        },
    )
    frame = farm.scenario_model_changes
    new_tgc, new_mortality = ints(frame, "new_tgc_model_id"), ints(frame, "new_mortality_model_id")
    changes, bad_changes = split_rejected(
        frame,
        "scenario_scenariomodelchange",
        "scenario_model_change_id",
        {
            "scenario is missing": ~np.isin(
                ints(frame, "scenario_id"), ints(farm.scenarios, "scenario_id")
            ),
            "no change day": ints(frame, "change_day") == UNKNOWN,
            "TGC model is missing": (new_tgc != UNKNOWN) & ~np.isin(new_tgc, tgc_ids),
            "mortality model is missing": (new_mortality != UNKNOWN)
            & ~np.isin(new_mortality, mortality_ids),
        },
    )
    weight, (low, high) = reals(scenarios, "initial_weight_g"), seeds.plausible("weight")
    out_of_range = ~np.isnan(weight) & ~((weight > low) & (weight <= high))
    batches, runs = farm.batches, farm.projection_runs
    pinned = ints(batches, "pinned_projection_run_id")
    run = positions(pinned, ints(runs, "projection_run_id"))
    of_run = take(ints(runs, "scenario_id"), run, UNKNOWN)
    of_pin = ints(batches, "pinned_scenario_id")
    eligible = ints(scenarios, "scenario_id")
    bad_values = [
        rejected("scenario", eligible[out_of_range], "weight out of range"),
        rejected(
            "batch_batch",
            ints(batches, "batch_id")[(pinned != UNKNOWN) & ~np.isin(of_run, eligible)],
            "pinned projection run is missing or its scenario is rejected",
        ),
        rejected(
            "batch_batch",
            ints(batches, "batch_id")[
                (of_pin != UNKNOWN) & ~np.isin(of_pin, eligible) & ~np.isin(of_run, eligible)
            ],
            "pinned scenario is missing or rejected",
        ),
    ]
    return scenarios, changes, [bad_scenarios, bad_changes, *bad_values]


def choose_scenarios(farm: Farm, scenarios: pd.DataFrame) -> BatchScenarios:
    """Choose the scenario of each batch.

    The first eligible of: the pinned projection run's; the pinned one; the batch's with the
    lowest id; the baseline.
    """
    batches = farm.batches
    eligible = ints(scenarios, "scenario_id")
    run = positions(
        ints(batches, "pinned_projection_run_id"), ints(farm.projection_runs, "projection_run_id")
    )
    of_run = take(ints(farm.projection_runs, "scenario_id"), run, UNKNOWN)
    of_pin = ints(batches, "pinned_scenario_id")
    # scenarios are sorted by id: the first of each batch is the one with the lowest
    planned, first = np.unique(ints(scenarios, "batch_id"), return_index=True)
    of_batch = take(eligible[first], positions(ints(batches, "batch_id"), planned), UNKNOWN)

    scenario_id = np.full(len(batches), BASELINE, dtype=np.int64)
    source = np.full(len(batches), "baseline", dtype=object)
    for candidate, name in (
        (of_batch, "first_scenario"),
        (of_pin, "pinned_scenario"),
        (of_run, "pinned_run"),
    ):
        there = (candidate != UNKNOWN) & np.isin(candidate, eligible)
        scenario_id[there] = candidate[there]
        source[there] = name
    at = positions(scenario_id, eligible)
    return BatchScenarios(
        batch_id=ints(batches, "batch_id"),
        scenario_id=scenario_id,
        scenario_source=source,
        constraint_set_id=take(ints(scenarios, "constraint_set_id"), at, UNKNOWN),
        initial_weight_g=take(reals(scenarios, "initial_weight_g"), at, np.nan),
    )


def constraint_limits(
    farm: Farm, chosen: BatchScenarios, stages: Stages
) -> tuple[RealArray, RealArray]:
    """Return the scenario's smallest and largest weight per batch and stage, in g.

    float64 [batches, stages] each, NaN where the scenario says nothing. Of two constraints whose
    stage names fold to the same key the one with the lower id counts.
    """
    shape = (len(chosen.batch_id), len(stages.key))
    least, most = np.full(shape, np.nan), np.full(shape, np.nan)
    table = farm.stage_constraints.drop_duplicates(["constraint_set_id", "lifecycle_stage_key"])
    for set_id, rows in table.groupby("constraint_set_id"):
        batches = np.flatnonzero(chosen.constraint_set_id == set_id)
        if len(batches) == 0:
            continue
        for key, low, high in zip(
            texts(rows, "lifecycle_stage_key"),
            reals(rows, "min_weight_g"),
            reals(rows, "max_weight_g"),
            strict=True,
        ):
            for stage in np.flatnonzero(stages.key == key):
                least[batches, stage], most[batches, stage] = low, high
    return least, most


def daily_share(daily_percent: RealArray, weekly_percent: RealArray) -> RealArray:
    """Return the share of fish that die in a day: the daily rate, else the weekly one.

    `p = daily / 100`, or `p = 1 - (1 - weekly / 100)^(1/7)`. Rates in percent, 0 to 100; another
    is not used. NaN where neither can be.
    """
    daily = np.where((daily_percent >= 0) & (daily_percent <= 100), daily_percent, np.nan)
    weekly = np.where((weekly_percent >= 0) & (weekly_percent <= 100), weekly_percent, np.nan)
    of_week = 1 - (1 - weekly / 100) ** (1 / 7)
    return np.where(np.isnan(daily), of_week, daily / 100)


def periods(
    farm: Farm,
    chosen: BatchScenarios,
    changes: pd.DataFrame,
    stages: Stages,
    parameters: Parameters,
    seeds: Seeds,
) -> Periods:
    """Return the models of each batch over its days, as `model_periods` does.

    Raises ValueError where a power law's coefficients cannot be of that form.
    """
    result = model_periods(farm, chosen, changes, stages, parameters, seeds)
    if parameters.growth_formula == "power_law":
        refuse_implausible(result, seeds)
    return result


def model_periods(
    farm: Farm,
    chosen: BatchScenarios,
    changes: pd.DataFrame,
    stages: Stages,
    parameters: Parameters,
    seeds: Seeds,
) -> Periods:
    """Return the models of each entry of `chosen` over its days, with their values per stage.

    A change replaces a model from its `change_day` (the batch's day number, at least 1) on; of
    several on a day the one with the highest id counts, TGC and mortality each by itself.
    """
    tgc_tables, tgc_rows = _tgc_tables(farm, stages, parameters, seeds)
    rate_tables, rate_rows = _rate_tables(farm, stages, seeds)
    model_at = positions(chosen.scenario_id, ints(farm.scenarios, "scenario_id"))
    first_tgc = take(ints(farm.scenarios, "tgc_model_id"), model_at, BASELINE)
    first_mortality = take(ints(farm.scenarios, "mortality_model_id"), model_at, BASELINE)

    change_rows = {
        scenario: rows.sort_values(["change_day", "scenario_model_change_id"])
        for scenario, rows in changes.groupby("scenario_id")
    }
    batch, first_day, tgc_model, mortality_model = [], [], [], []
    for i, scenario in enumerate(chosen.scenario_id.tolist()):
        tgc, mortality = int(first_tgc[i]), int(first_mortality[i])
        steps = {1: (tgc, mortality)}
        rows = change_rows.get(scenario)
        if rows is not None:
            for day, new_tgc, new_mortality in zip(
                ints(rows, "change_day").tolist(),
                ints(rows, "new_tgc_model_id").tolist(),
                ints(rows, "new_mortality_model_id").tolist(),
                strict=True,
            ):
                tgc = tgc if new_tgc == UNKNOWN else new_tgc
                mortality = mortality if new_mortality == UNKNOWN else new_mortality
                steps[max(1, day)] = (tgc, mortality)
        for day, (tgc, mortality) in sorted(steps.items()):
            batch.append(i)
            first_day.append(day)
            tgc_model.append(tgc)
            mortality_model.append(mortality)
    tgc_ids = np.array(tgc_model, dtype=np.int64)
    at_tgc = positions(tgc_ids, tgc_rows)
    at_rate = positions(np.array(mortality_model, dtype=np.int64), rate_rows)
    profile = take(
        ints(farm.tgc_models, "temperature_profile_id"),
        positions(tgc_ids, ints(farm.tgc_models, "tgc_model_id")),
        BASELINE,
    )
    return Periods(
        batch=np.array(batch, dtype=np.int64),
        first_day_number=np.array(first_day, dtype=np.int64),
        profile_id=np.where(profile == UNKNOWN, BASELINE, profile),
        tgc=tgc_tables[0][at_tgc],
        exponent_n=tgc_tables[1][at_tgc],
        exponent_m=tgc_tables[2][at_tgc],
        rate=rate_tables[at_rate],
    )


def refuse_implausible(periods: Periods, seeds: Seeds) -> None:
    """Raise ValueError where a power law is `implausible_growth`."""
    bad = implausible_growth(periods, seeds)
    if bool(np.any(bad)):
        low, high = seeds.plausible("power_law_daily_growth")
        growth = _power_law_growth(periods)
        period, stage = np.argwhere(bad)[0]
        raise ValueError(
            f"A power law grows a 1 kg fish at 10 °C by {growth[period, stage]:.6f} a day (batch "
            f"position {periods.batch[period]}, stage position {stage}); expected {low} to {high}. "
            "Its coefficients were fitted in another form: use growth_formula cube_root."
        )


def implausible_growth(periods: Periods, seeds: Seeds) -> BoolArray:
    """Say where a power law grows a 1 kg fish at 10 °C implausibly fast or slowly.

    Daily growth `c * 10^n * 1000^m / 1000` must lie within the seed's range (0.0005 to 0.03); a
    coefficient of 0 is no growth on purpose. bool [periods, stages].
    """
    low, high = seeds.plausible("power_law_daily_growth")
    growth = _power_law_growth(periods)
    return np.asarray((periods.tgc != 0) & ~((growth >= low) & (growth <= high)))


def _power_law_growth(periods: Periods) -> RealArray:
    return np.asarray(periods.tgc * 10**periods.exponent_n * 1000**periods.exponent_m / 1000)


def _tgc_tables(
    farm: Farm, stages: Stages, parameters: Parameters, seeds: Seeds
) -> tuple[tuple[RealArray, RealArray, RealArray], IntArray]:
    """Return TGC, n and m as [models + 1, stages] and the model ids; the last is the baseline."""
    models = farm.tgc_models
    model_ids = ints(models, "tgc_model_id")
    is_power_law = parameters.growth_formula == "power_law"
    baseline = seeds.baseline_stages.set_index("lifecycle_stage_key")
    keys = [key if key in baseline.index else "default" for key in stages.key]
    of_baseline = {
        "tgc_value": "power_law_coefficient" if is_power_law else "tgc",
        "exponent_n": "exponent_n",
        "exponent_m": "exponent_m",
    }
    overrides = farm.tgc_model_stages.drop_duplicates(["tgc_model_id", "lifecycle_stage_key"])
    tables = []
    for column, seed_column in of_baseline.items():
        of_model, of_stage = reals(models, column), reals(overrides, column)
        if column == "tgc_value" and not is_power_law:
            of_model, of_stage = plausible_tgc(of_model, seeds), plausible_tgc(of_stage, seeds)
        table = np.repeat(of_model[:, None], len(stages.key), axis=1)
        _override(table, model_ids, overrides, "tgc_model_id", of_stage, stages)
        last = baseline.loc[keys, seed_column].to_numpy(dtype=np.float64)[None, :]
        tables.append(np.concatenate([np.where(np.isnan(table), last, table), last]))
    return (tables[0], tables[1], tables[2]), np.append(model_ids, BASELINE)


def plausible_tgc(tgc: RealArray, seeds: Seeds) -> RealArray:
    """Return TGCs in 1000 g^(1/3) per °C and day, NaN where they cannot be true.

    A value below 0.01 is already divided by 1000: both kinds are stored. What then lies outside
    0 to 6 is a typing error, and the next value in line takes its place.
    """
    scaled = np.where(tgc < seeds.constant("prescaled_tgc_limit"), tgc * 1000, tgc)
    low, high = seeds.plausible("tgc")
    return np.where((scaled >= low) & (scaled <= high), scaled, np.nan)


def rejected_tgcs(farm: Farm, parameters: Parameters, seeds: Seeds) -> list[pd.DataFrame]:
    """List the TGCs that cannot be true; a power law's coefficients are checked otherwise."""
    if parameters.growth_formula == "power_law":
        return []
    lists = []
    for frame, table_name, key in (
        (farm.tgc_models, "scenario_tgcmodel", "tgc_model_id"),
        (farm.tgc_model_stages, "scenario_tgc_model_stage", "tgc_model_stage_id"),
    ):
        tgc = reals(frame, "tgc_value")
        bad = ~np.isnan(tgc) & np.isnan(plausible_tgc(tgc, seeds))
        lists.append(rejected(table_name, ints(frame, key)[bad], "TGC out of range"))
    return lists


def rejected_fcrs(farm: Farm, seeds: Seeds) -> list[pd.DataFrame]:
    """List models' FCRs, in kg of feed per kg of growth, that cannot be true: outside 0 to 10."""
    low, high = seeds.plausible("fcr")
    lists = []
    for frame, table_name, key in (
        (farm.fcr_model_stages, "scenario_fcrmodelstage", "fcr_model_stage_id"),
        (
            farm.fcr_model_stage_overrides,
            "scenario_fcr_model_stage_override",
            "fcr_model_stage_override_id",
        ),
    ):
        fcr = reals(frame, "model_fcr")
        bad = ~np.isnan(fcr) & ~((fcr >= low) & (fcr <= high))
        lists.append(rejected(table_name, ints(frame, key)[bad], "FCR out of range"))
    return lists


def _rate_tables(farm: Farm, stages: Stages, seeds: Seeds) -> tuple[RealArray, IntArray]:
    """Return the daily share of deaths as [models + 1, stages] and the model ids."""
    models = farm.mortality_models
    model_ids = ints(models, "mortality_model_id")
    percent = reals(models, "rate_percent")
    is_weekly: BoolArray = np.array(
        [str(text).strip().lower() == "weekly" for text in texts(models, "frequency")], dtype=bool
    )
    of_model = daily_share(
        np.where(is_weekly, np.nan, percent), np.where(is_weekly, percent, np.nan)
    )
    overrides = farm.mortality_model_stages.drop_duplicates(
        ["mortality_model_id", "lifecycle_stage_key"]
    )
    of_stage = daily_share(
        reals(overrides, "daily_rate_percent"), reals(overrides, "weekly_rate_percent")
    )
    table = np.repeat(of_model[:, None], len(stages.key), axis=1)
    _override(table, model_ids, overrides, "mortality_model_id", of_stage, stages)
    baseline = seeds.baseline_stages.set_index("lifecycle_stage_key")
    keys = [key if key in baseline.index else "default" for key in stages.key]
    last = baseline.loc[keys, "daily_mortality_rate_percent"].to_numpy(dtype=np.float64) / 100
    table = np.where(np.isnan(table), last[None, :], table)
    return np.concatenate([table, last[None, :]]), np.append(model_ids, BASELINE)


def _override(
    table: RealArray,
    model_ids: IntArray,
    overrides: pd.DataFrame,
    model_column: str,
    values: RealArray,
    stages: Stages,
) -> None:
    """Write a stage's own values into a table of [models, stages], in place; NaN falls back."""
    at = positions(ints(overrides, model_column), model_ids)
    for model, key, value in zip(at, texts(overrides, "lifecycle_stage_key"), values, strict=True):
        if model >= 0 and not np.isnan(value):
            table[model, stages.key == key] = value


def weight_limits(most_g: RealArray, stages: Stages) -> RealArray:
    """Return the weight [g] at which fish leave a stage, per batch and stage.

    The scenario's constraint, else the stage's `expected_weight_max_g`; infinite where neither
    is known. float64 [batches, stages].
    """
    limit = np.where(np.isnan(most_g), stages.expected_weight_max_g[None, :], most_g)
    return np.where(np.isnan(limit), np.inf, limit)


def stage_caps(stages: Stages, seeds: Seeds) -> RealArray:
    """Return the weight [g] at which growth stops per stage; infinite where no cap is set."""
    caps = seeds.stage_weight_caps.set_index("lifecycle_stage_key")["max_weight_g"]
    return np.array([float(caps.get(key, np.inf)) for key in stages.key], dtype=np.float64)


def batch_positions(stays: Stays, chosen: BatchScenarios) -> IntArray:
    """Return the position of each stay's batch in `chosen`."""
    return positions(stays.batch_id, chosen.batch_id)


def all_profiles(profile_days: pd.DataFrame, seeds: Seeds) -> pd.DataFrame:
    """Return the days of all temperature profiles, that of the seeds among them."""
    baseline = seeds.baseline_temperature_profile[["day_number", "temp_c"]]
    return pd.concat(
        [profile_days, baseline.assign(temperature_profile_id=BASELINE)], ignore_index=True
    )
