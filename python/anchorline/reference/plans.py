"""The plan series: what each scenario of a batch expects, day by day, beside the actual states.

A batch has a plan for each of its usable scenarios and for the one in force. It is what the pinned
projection run has stored; without such rows, and beyond the last of them, it is computed: the step
of the states with the water of the profile alone, the deaths of the model alone, no anchors, no
movements, no caps. All plans advance together, one step a day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference import activity, growth, scenarios, temperatures
from anchorline.reference.inputs import Farm, Parameters, Seeds, day_of
from anchorline.reference.scenarios import BASELINE, BatchScenarios, Periods, Stages
from anchorline.reference.states import Result, round_half_up
from anchorline.reference.tables import (
    UNKNOWN,
    BoolArray,
    IntArray,
    RealArray,
    day_key,
    day_numbers,
    ints,
    positions,
    reals,
    take,
)

NEVER: Final = UNKNOWN + 1
"""The end of a plan for which nobody planned one: before any day."""


@dataclass(frozen=True)
class Plans:
    """One entry per batch and plan, sorted by both; the baseline of the seeds first.

    `scenario` says of each plan what `BatchScenarios` says of the one in force; `run_id` is the
    projection run of its scenario that the batch is pinned to, `UNKNOWN` where there is none.
    """

    scenario: BatchScenarios
    batch_start_day: IntArray
    is_in_force: BoolArray
    is_pinned: BoolArray
    run_id: IntArray

    def __len__(self) -> int:
        """Return the number of plans."""
        return len(self.is_in_force)

    def only(self, kept: BoolArray) -> Plans:
        """Return some of the plans."""
        chosen = self.scenario
        return Plans(
            scenario=BatchScenarios(
                batch_id=chosen.batch_id[kept],
                scenario_id=chosen.scenario_id[kept],
                scenario_source=chosen.scenario_source[kept],
                constraint_set_id=chosen.constraint_set_id[kept],
                initial_weight_g=chosen.initial_weight_g[kept],
            ),
            batch_start_day=self.batch_start_day[kept],
            is_in_force=self.is_in_force[kept],
            is_pinned=self.is_pinned[kept],
            run_id=self.run_id[kept],
        )


@dataclass(frozen=True)
class PlanModels:
    """What the models of each plan say; `periods.batch` and the rows of `limit_g` are plans.

    `limit_g` [g] is infinite where nobody limits a stage. `days_without_growth` [d] is how long
    fish stay in a stage in which they do not grow, per stage. `formula` is `cube_root` or
    `power_law`; no fish weighs more than `largest_weight_g`.
    """

    stages: Stages
    periods: Periods
    limit_g: RealArray
    days_without_growth: IntArray
    formula: str
    largest_weight_g: float

    def is_last(self, stage: IntArray) -> BoolArray:
        """Say which stages have no next one."""
        return np.asarray(self.stages.following[stage] < 0)

    def has_reached_limit(self, plan: IntArray, fish: Fish) -> BoolArray:
        """Say which fish weigh what ends their stage in a plan."""
        limit = self.limit_g[plan, fish.stage]
        return np.asarray(fish.weight_g >= limit - growth.TOLERANCE)


@dataclass(frozen=True)
class Fish:
    """Groups of fish at the end of a day; one entry per group. `stage` is a position.

    `weight_g` in g; `mortality_carry` the fraction of a fish left from former days' deaths;
    `days_in_stage` for how many days they have been in their stage.
    """

    stage: IntArray
    population: IntArray
    weight_g: RealArray
    mortality_carry: RealArray
    days_in_stage: IntArray

    @classmethod
    def of(cls, stage: IntArray, population: IntArray, weight_g: RealArray) -> Fish:
        """Return fish that enter their stage."""
        size = len(stage)
        return cls(stage, population, weight_g, np.zeros(size), np.zeros(size, dtype=np.int64))


@dataclass(frozen=True)
class PlanStarts:
    """With which fish each plan starts, before its first day; all have one entry per plan.

    `planned_day` is the last day that is planned or on which the batch has a state (`NEVER`:
    neither), `last_day` the last one that is computed. `stage` is a position in `Stages`,
    `weight_g` in g.
    """

    first_day: IntArray
    planned_day: IntArray
    last_day: IntArray
    stage: IntArray
    population: IntArray
    weight_g: RealArray


@dataclass(frozen=True)
class PlanStates:
    """States of a plan at the end of days; one entry per state. `stage` is a position."""

    plan: IntArray
    day: IntArray
    stage: IntArray
    population: IntArray
    weight_g: RealArray


def plan_days(farm: Farm, seeds: Seeds, parameters: Parameters, result: Result) -> pd.DataFrame:
    """Return the days of all plans, unrounded.

    Parameters
    ----------
    farm, seeds, parameters
        What the states are computed from.
    result : Result
        The states: what a scenario leaves open is taken from its batch.

    Returns
    -------
    frame
        Sorted by batch_id, scenario_id (null: the baseline) and state_date, one row for each:
        lifecycle_stage_id and population at the end of the day, weight_g [g], plan_source
        (`stored_run` or `computed`), is_in_force, is_pinned.

    """
    stays, _ = activity.check_assignments(farm, parameters, seeds)
    usable, changes, _ = scenarios.check_scenarios(farm, seeds)
    profile_days, _ = temperatures.check_profiles(farm, seeds)
    every = find_plans(farm, usable)
    every = every.only(np.isin(every.scenario.batch_id, stays.batch_id))
    models = plan_models(farm, every, changes, parameters, seeds)
    kept = _is_possible(every, models.periods, parameters, seeds)
    if not kept.all():
        every = every.only(kept)
        models = plan_models(farm, every, changes, parameters, seeds)
    starts = plan_starts(farm, every, models, stays, result, seeds, parameters.as_of_day)
    stored = stored_days(farm, every, models.stages, starts, seeds)
    profiles = scenarios.all_profiles(profile_days, seeds)
    computed = computed_days(every, models, _after(starts, stored), profiles)
    return _frame(every, models.stages, stored, computed)


def find_plans(farm: Farm, usable: pd.DataFrame) -> Plans:
    """Return the plans of each batch: its usable scenarios, and the one in force."""
    chosen = scenarios.choose_scenarios(farm, usable)
    own = usable[np.isin(ints(usable, "batch_id"), chosen.batch_id)]
    pairs = np.unique(
        np.stack(
            [
                np.concatenate([ints(own, "batch_id"), chosen.batch_id]),
                np.concatenate([ints(own, "scenario_id"), chosen.scenario_id]),
            ],
            axis=1,
        ),
        axis=0,
    )
    batch_id, scenario_id = pairs[:, 0], pairs[:, 1]
    batch = positions(batch_id, chosen.batch_id)
    in_force = chosen.scenario_id[batch] == scenario_id
    source = chosen.scenario_source[batch]
    at = positions(scenario_id, ints(usable, "scenario_id"))
    run_id = ints(farm.batches, "pinned_projection_run_id")[batch]
    run = positions(run_id, ints(farm.projection_runs, "projection_run_id"))
    of_run = take(ints(farm.projection_runs, "scenario_id"), run, UNKNOWN)
    return Plans(
        scenario=BatchScenarios(
            batch_id=batch_id,
            scenario_id=scenario_id,
            scenario_source=source,
            constraint_set_id=take(ints(usable, "constraint_set_id"), at, UNKNOWN),
            initial_weight_g=take(reals(usable, "initial_weight_g"), at, np.nan),
        ),
        batch_start_day=ints(farm.batches, "start_date")[batch],
        is_in_force=in_force,
        is_pinned=in_force & np.isin(source, ["pinned_run", "pinned_scenario"]),
        run_id=np.where((of_run == scenario_id) & (scenario_id != BASELINE), run_id, UNKNOWN),
    )


def plan_models(
    farm: Farm, plans: Plans, changes: pd.DataFrame, parameters: Parameters, seeds: Seeds
) -> PlanModels:
    """Return growth, deaths, stage limits and durations of all plans."""
    stages = scenarios.stage_order(farm.lifecycle_stages)
    _, most_g = scenarios.constraint_limits(farm, plans.scenario, stages)
    typical = ints(farm.lifecycle_stages, "typical_duration_days")
    return PlanModels(
        stages=stages,
        periods=scenarios.model_periods(farm, plans.scenario, changes, stages, parameters, seeds),
        limit_g=scenarios.weight_limits(most_g, stages),
        days_without_growth=np.where(
            typical == UNKNOWN, int(seeds.constant("days_without_growth")), typical
        ),
        formula=parameters.growth_formula,
        largest_weight_g=seeds.plausible("weight")[1],
    )


def plan_starts(
    farm: Farm,
    plans: Plans,
    models: PlanModels,
    stays: activity.Stays,
    result: Result,
    seeds: Seeds,
    as_of_day: int,
) -> PlanStarts:
    """Return with which fish each plan starts, and until when it is followed.

    As the scenario says. What it does not say is taken from the batch: its first day, of the
    baseline the first one with a state; all fish that came into it from outside; their mean weight
    before they grew on the batch's first day from the plan's start on, else
    `default_start_weight_g`. The stage is that of the batch's first assignment or, where the fish
    are too heavy for it, the first one after it whose limit they are below.

    A plan is followed through `duration_days`, without them for `default_plan_days`, and as long
    as its batch has states, for `longest_plan_days` at most.
    """
    batch_id = plans.scenario.batch_id
    at = positions(plans.scenario.scenario_id, ints(farm.scenarios, "scenario_id"))
    days = _batch_days(result.states, result.unrounded)
    first_state, last_state = _state_span(days, batch_id)

    planned_start = take(ints(farm.scenarios, "start_date"), at, UNKNOWN)
    of_batch = np.where((at < 0) & (first_state != UNKNOWN), first_state, plans.batch_start_day)
    first_day = np.where(planned_start != UNKNOWN, planned_start, of_batch)

    duration = take(ints(farm.scenarios, "duration_days"), at, UNKNOWN)
    is_planned = duration > 0
    end = first_day - 1 + np.where(is_planned, duration, int(seeds.constant("default_plan_days")))
    longest = first_day - 1 + int(seeds.constant("longest_plan_days"))
    alive_until = np.where(last_state == UNKNOWN, NEVER, last_state)

    count = take(ints(farm.scenarios, "initial_count"), at, UNKNOWN)
    weight = plans.scenario.initial_weight_g
    low, high = seeds.plausible("weight")
    weight = np.where((weight > low) & (weight <= high), weight, np.nan)
    weight = np.where(np.isnan(weight), _weight_from(days, batch_id, first_day), weight)
    weight = np.where(np.isnan(weight), seeds.constant("default_start_weight_g"), weight)
    return PlanStarts(
        first_day=first_day,
        planned_day=np.maximum(np.where(is_planned, end, NEVER), alive_until),
        last_day=np.minimum(np.maximum(end, alive_until), longest),
        stage=_fitting_stage(models, _first_stage(stays, models.stages, batch_id), weight),
        population=np.where(
            count > 0, count, _from_outside(result.movements, stays, batch_id, as_of_day)
        ),
        weight_g=weight,
    )


def stored_days(
    farm: Farm, plans: Plans, stages: Stages, starts: PlanStarts, seeds: Seeds
) -> PlanStates:
    """Return the days that the pinned projection runs hold and that can be true, sorted.

    Of two rows for a day the one written last counts. Fish are whole; where the run does not say
    the stage, it is that of the start.
    """
    rows = farm.projection_days
    rows = rows[np.isin(ints(rows, "projection_run_id"), plans.run_id)]
    weight, count = reals(rows, "avg_weight_g"), reals(rows, "population")
    low, high = seeds.plausible("weight")
    earliest = day_of(date(int(seeds.constant("earliest_year")), 1, 1))
    rows = rows[
        (ints(rows, "projection_run_id") != UNKNOWN)
        & (weight > low)
        & (weight <= high)
        & (count >= 0)
        & (ints(rows, "projection_date") >= earliest)
    ].drop_duplicates(["projection_run_id", "projection_date"], keep="last")

    pinned = pd.DataFrame({"projection_run_id": plans.run_id, "plan": np.arange(len(plans))})
    rows = pinned.merge(rows, on="projection_run_id").sort_values(["plan", "projection_date"])
    plan = ints(rows, "plan")
    stage = positions(ints(rows, "lifecycle_stage_id"), stages.lifecycle_stage_id)
    return PlanStates(
        plan=plan,
        day=ints(rows, "projection_date"),
        stage=np.where(stage >= 0, stage, starts.stage[plan]),
        population=round_half_up(reals(rows, "population"), 0).astype(np.int64),
        weight_g=reals(rows, "avg_weight_g"),
    )


def computed_days(
    plans: Plans, models: PlanModels, starts: PlanStarts, profiles: pd.DataFrame
) -> PlanStates:
    """Compute the days of all plans, one step a day (`next_day`).

    After its planned day a plan ends with the fish that have reached the limit of the last stage.

    Parameters
    ----------
    plans, models, starts
        One entry per plan.
    profiles : frame
        temperature_profile_id, day_number and temp_c [°C] of all profiles.

    Returns
    -------
    PlanStates
        Sorted by day of the plan, then plan.

    """
    plan = np.arange(len(plans))
    length = np.maximum(starts.last_day - starts.first_day + 1, 0)
    steps = int(length.max(initial=0))
    temp_c = profile_temperatures(plans, models.periods, starts.first_day, steps, profiles)
    fish = Fish.of(starts.stage, starts.population, starts.weight_g)
    found = []
    for i in range(steps):
        day = starts.first_day + i
        has_outgrown = models.is_last(fish.stage) & models.has_reached_limit(plan, fish)
        ends = has_outgrown & (day > starts.planned_day)
        length = np.where(ends, np.minimum(length, i), length)
        lives = i < length
        if not lives.any():
            break
        period = models.periods.at(plan, day - plans.batch_start_day + 1)
        fish = next_day(fish, plan, period, temp_c[i], models)
        state = (plan, day, fish.stage, fish.population, fish.weight_g)
        found.append([values[lives] for values in state])
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return PlanStates(nothing, nothing, nothing, nothing, np.zeros(0))
    return PlanStates(*(np.concatenate(values) for values in zip(*found, strict=True)))


def next_day(
    fish: Fish,
    plan: IntArray,
    period: IntArray,
    temp_c: RealArray,
    models: PlanModels,
    tgc_factor: RealArray | float = 1.0,
) -> Fish:
    """Let groups of fish live for a day of which nothing is recorded.

    With the models of the day and the stage of the day before:

    1. `died = floor(N rate + carry + 1e-9)`, the fraction carried on (`growth.expected_deaths`)
    2. `W = min(formula(W, T), largest_weight_g)` with factor * TGC; unchanged where T is unknown
    3. the next stage where `W >= limit - 1e-9`, or, with a TGC of 0, after the stage's
       `days_without_growth`

    Parameters
    ----------
    fish : Fish
        At the end of the day before.
    plan, period : int64 [groups]
        Positions of the plan whose limits hold, and of its models that day.
    temp_c : float64 [groups]
        Water temperature [°C], NaN where unknown.
    models : PlanModels
        What they say.
    tgc_factor : float64 [groups]
        What the coefficient of growth is multiplied by, above 0 [-].

    Returns
    -------
    Fish
        At the end of the day.

    """
    periods, stage = models.periods, fish.stage
    tgc = periods.tgc[period, stage]
    died, carry = growth.expected_deaths(
        fish.population, periods.rate[period, stage], fish.mortality_carry
    )
    grown = growth.FORMULAS[models.formula](
        fish.weight_g,
        temp_c,
        tgc * tgc_factor,
        periods.exponent_n[period, stage],
        periods.exponent_m[period, stage],
    )
    weight = np.minimum(np.where(np.isnan(temp_c), fish.weight_g, grown), models.largest_weight_g)
    after = Fish(stage, fish.population - died, weight, carry, fish.days_in_stage + 1)
    is_over = (tgc == 0) & (after.days_in_stage >= models.days_without_growth[stage])
    moves_on = ~models.is_last(stage) & (is_over | models.has_reached_limit(plan, after))
    return replace(
        after,
        stage=np.where(moves_on, models.stages.following[stage], stage),
        days_in_stage=np.where(moves_on, 0, after.days_in_stage),
    )


def profile_temperatures(
    plans: Plans, periods: Periods, first_day: IntArray, steps: int, profiles: pd.DataFrame
) -> RealArray:
    """Return what the plans' profiles say from a day on, NaN where they say nothing.

    float64 [steps, plans], °C; `first_day` is the day of row 0, per plan.
    """
    shape = (steps, len(plans))
    day_number = first_day - plans.batch_start_day + 1 + np.arange(steps)[:, None]
    plan = np.broadcast_to(np.arange(len(plans)), shape).ravel()
    period = periods.at(plan, day_number.ravel())
    return temperatures.profile_temperatures(
        profiles, periods.profile_id[period], day_number.ravel()
    ).reshape(shape)


def _is_possible(plans: Plans, periods: Periods, parameters: Parameters, seeds: Seeds) -> BoolArray:
    """Say which plans have coefficients of the formula's form; ValueError for one in force."""
    possible = np.ones(len(plans), dtype=np.bool_)
    if parameters.growth_formula == "power_law":
        bad = np.unique(periods.batch[scenarios.implausible_growth(periods, seeds).any(axis=1)])
        possible[bad] = False
        if (plans.is_in_force & ~possible).any():
            scenarios.refuse_implausible(periods, seeds)
    return possible


def _after(starts: PlanStarts, stored: PlanStates) -> PlanStarts:
    """Let plans go on from their last stored day."""
    is_last = np.ones(len(stored.plan), dtype=np.bool_)
    is_last[:-1] = stored.plan[1:] != stored.plan[:-1]
    plan = stored.plan[is_last]
    first_day, stage = starts.first_day.copy(), starts.stage.copy()
    population, weight = starts.population.copy(), starts.weight_g.copy()
    first_day[plan] = stored.day[is_last] + 1
    stage[plan] = stored.stage[is_last]
    population[plan] = stored.population[is_last]
    weight[plan] = stored.weight_g[is_last]
    return PlanStarts(first_day, starts.planned_day, starts.last_day, stage, population, weight)


def _batch_days(states: pd.DataFrame, unrounded: pd.DataFrame) -> pd.DataFrame:
    """Return start_weight_g per batch_id and day: of the fish before they grow, NaN without fish.

    `sum(n W*) / sum(n)` over the batch's assignments, `n = max(0, N(d-1) - departed) + arrived`.
    """
    yesterday = states.groupby("assignment_id")["population"].shift(fill_value=0)
    fish = np.maximum(yesterday - states["departed_count"], 0) + states["arrived_count"]
    rows = pd.DataFrame(
        {
            "batch_id": states["batch_id"],
            "day": day_numbers(states, "state_date"),
            "fish": fish,
            "mass_g": fish * unrounded["mixed_weight_g"],
        }
    )
    days = rows.groupby(["batch_id", "day"], as_index=False).sum()
    return days.assign(start_weight_g=days["mass_g"] / days["fish"].where(days["fish"] > 0))


def _state_span(days: pd.DataFrame, batch_id: IntArray) -> tuple[IntArray, IntArray]:
    """Return the first and the last day with a state of each batch, `UNKNOWN` without any."""
    span = days.groupby("batch_id")["day"].agg(["min", "max"])
    at = positions(batch_id, span.index.to_numpy(dtype=np.int64))
    return (
        take(span["min"].to_numpy(dtype=np.int64), at, UNKNOWN),
        take(span["max"].to_numpy(dtype=np.int64), at, UNKNOWN),
    )


def _weight_from(days: pd.DataFrame, batch_id: IntArray, first_day: IntArray) -> RealArray:
    """Return the batch's weight on its first day with a state from a day on; NaN without one."""
    if days.empty:
        return np.full(len(batch_id), np.nan)
    known = np.unique(ints(days, "batch_id"))
    batch = positions(batch_id, known)
    keys = day_key(positions(ints(days, "batch_id"), known), ints(days, "day"))
    at = np.searchsorted(keys, day_key(batch, first_day))
    same = (batch >= 0) & (at < len(keys))
    same &= ints(days, "batch_id")[np.where(same, at, 0)] == batch_id
    return take(reals(days, "start_weight_g"), np.where(same, at, -1), np.nan)


def _from_outside(
    movements: pd.DataFrame, stays: activity.Stays, batch_id: IntArray, as_of_day: int
) -> IntArray:
    """Return the number of fish that have come into each batch: stocked, or from another one."""

    def batch_of(column: str) -> IntArray:
        ids = movements[column].fillna(UNKNOWN).to_numpy(dtype=np.int64)
        return take(stays.batch_id, stays.at(ids), UNKNOWN)

    to = batch_of("to_assignment_id")
    comes = (to != UNKNOWN) & (to != batch_of("from_assignment_id"))
    comes &= day_numbers(movements, "departed_date") <= as_of_day
    came = pd.Series(ints(movements, "fish_count")[comes]).groupby(to[comes]).sum()
    return came.reindex(batch_id, fill_value=0).to_numpy(dtype=np.int64)


def _first_stage(stays: activity.Stays, stages: Stages, batch_id: IntArray) -> IntArray:
    """Return the stage of each batch's first assignment, as a position."""
    order = np.lexsort((stays.assignment_id, stays.assignment_day, stays.batch_id))
    batches, first = np.unique(stays.batch_id[order], return_index=True)
    stage_id = stays.lifecycle_stage_id[order][first][positions(batch_id, batches)]
    return positions(stage_id, stages.lifecycle_stage_id)


def _fitting_stage(models: PlanModels, stage: IntArray, weight_g: RealArray) -> IntArray:
    """Return the first stage from a given one on whose limit the fish are below, else the last."""
    plan = np.arange(len(stage))
    while True:
        fish = Fish.of(stage, np.zeros_like(stage), weight_g)
        moves = models.has_reached_limit(plan, fish) & ~models.is_last(stage)
        if not moves.any():
            return stage
        stage = np.where(moves, models.stages.following[stage], stage)


def _frame(plans: Plans, stages: Stages, stored: PlanStates, computed: PlanStates) -> pd.DataFrame:
    plan = np.concatenate([stored.plan, computed.plan])
    day = np.concatenate([stored.day, computed.day])
    order = np.lexsort((day, plan))
    scenario_id = pd.Series(plans.scenario.scenario_id[plan], dtype="Int64")
    frame = pd.DataFrame(
        {
            "batch_id": plans.scenario.batch_id[plan],
            "scenario_id": scenario_id.mask(scenario_id == BASELINE),
            "state_date": day.astype("datetime64[D]").astype("datetime64[s]"),
            "lifecycle_stage_id": stages.lifecycle_stage_id[
                np.concatenate([stored.stage, computed.stage])
            ],
            "population": np.concatenate([stored.population, computed.population]),
            "weight_g": np.concatenate([stored.weight_g, computed.weight_g]),
            "plan_source": np.repeat(
                np.array(["stored_run", "computed"], dtype=object),
                [len(stored.plan), len(computed.plan)],
            ),
            "is_in_force": plans.is_in_force[plan],
            "is_pinned": plans.is_pinned[plan],
        }
    )
    return frame.iloc[order].reset_index(drop=True)
