"""The recursion: number, weight and stage of all assignments, one step a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from anchorline.reference.tables import (
    BoolArray,
    IntArray,
    RealArray,
    TextArray,
    whole_shares,
)

TOLERANCE: Final = 1e-9
"""Protects discrete steps (a whole fish, a stage limit) from the last digits of a double [-]."""

Formula = Callable[[RealArray, RealArray, RealArray, RealArray, RealArray], RealArray]


@dataclass(frozen=True)
class DayInputs:
    """What is known of each active assignment and day before the recursion.

    All arrays have one entry per row, rows sorted by day, then assignment; `bounds[i]` is the
    first row of day `first_day + i`.

    ==================  =====================================================================
    stay, batch         position of the assignment and of its batch
    period              position of the batch's models of that day (`scenarios.Periods`)
    temp_c              °C, NaN where unknown
    arrived, departed   fish that come and go that day
    recorded_deaths     fish recorded dead for the assignment, -1 where nothing is recorded
    batch_deaths        fish recorded dead for its batch alone, -1 where nothing is recorded
    anchor_weight_g     g, NaN on days without anchor
    ==================  =====================================================================
    """

    first_day: int
    bounds: IntArray
    stay: IntArray
    batch: IntArray
    period: IntArray
    temp_c: RealArray
    arrived: IntArray
    departed: IntArray
    recorded_deaths: IntArray
    batch_deaths: IntArray
    anchor_weight_g: RealArray


@dataclass(frozen=True)
class Arrivals:
    """Movements that end in an active assignment; sorted by the day of arrival.

    `source` is -1 for fish from outside; `row` is the row of `DayInputs` that receives them;
    `weight_g` is NaN where the source's last state before the day of arrival says it.
    """

    source: IntArray
    row: IntArray
    arrived_day: IntArray
    fish_count: IntArray
    weight_g: RealArray
    is_inferred: BoolArray


@dataclass(frozen=True)
class UnderWay:
    """Movements from assignments that have ended, of fish that arrive later than they leave.

    `batch` is the position of the batch that they come from.
    """

    batch: IntArray
    departed_day: IntArray
    arrived_day: IntArray


@dataclass(frozen=True)
class Biology:
    """What the models say, per period or batch and per stage.

    tgc, exponent_n, exponent_m, rate: float64 [periods, stages]; limit_g: float64 [batches,
    stages], g, infinite where a stage has no end; following: int64 [stages], -1 at the end;
    cap_g: float64 [assignments], g, infinite where none holds.
    """

    tgc: RealArray
    exponent_n: RealArray
    exponent_m: RealArray
    rate: RealArray
    limit_g: RealArray
    following: IntArray
    cap_g: RealArray


@dataclass(frozen=True)
class GrowthStates:
    """One entry per row of `DayInputs`: the state at the end of the day, unrounded, and its making.

    `stage` is the position of the stage after the day's test; weights in g; `arrived_mass_g` is
    the sum of `n w` over arriving fish; `yesterday_count` and `yesterday_weight_g` are the state
    of the day before.
    """

    population: IntArray
    weight_g: RealArray
    mortality_carry: RealArray
    stage: IntArray
    is_arrival_inferred: BoolArray
    stayed: IntArray
    died: IntArray
    count_adjustment: IntArray
    mixed_weight_g: RealArray
    modelled_weight_g: RealArray
    weight_source: TextArray
    mortality_source: TextArray
    arrived_mass_g: RealArray
    yesterday_count: IntArray
    yesterday_weight_g: RealArray
    is_death_record_rejected: BoolArray
    is_batch_record_rejected: BoolArray


def cube_root_growth(
    weight_g: RealArray, temp_c: RealArray, tgc: RealArray, n: RealArray, m: RealArray
) -> RealArray:
    """Grow fish by one day with a thermal growth coefficient.

    `W = (W0^(1/3) + TGC / 1000 * T)^3`; over several days, T becomes the sum of their temperatures.

    Parameters
    ----------
    weight_g : float64 [k]
        Mean weight before [g], above 0.
    temp_c : float64 [k]
        Water temperature [°C]; at or below 0 there is no growth, NaN gives NaN.
    tgc : float64 [k]
        Thermal growth coefficient [1000 g^(1/3) per °C and day]; salmon 2 to 4.
    n, m : float64 [k]
        Not used; they make both formulas interchangeable.

    Returns
    -------
    float64 [k]
        Mean weight after [g].

    References
    ----------
    Iwama & Tautz 1981, Can. J. Fish. Aquat. Sci. 38:649-656, doi:10.1139/f81-087; Cho 1992,
    Aquaculture 100:107-123, doi:10.1016/0044-8486(92)90353-M

    """
    grown = (np.cbrt(weight_g) + tgc / 1000.0 * temp_c) ** 3
    return np.where(temp_c <= 0, weight_g, grown)


def power_law_growth(
    weight_g: RealArray, temp_c: RealArray, tgc: RealArray, n: RealArray, m: RealArray
) -> RealArray:
    """Grow fish by one day with a power law: `W = W0 + c * T^n * W0^m`.

    Parameters
    ----------
    weight_g : float64 [k]
        Mean weight before [g], above 0.
    temp_c : float64 [k]
        Water temperature [°C]; at or below 0 there is no growth, NaN gives NaN.
    tgc : float64 [k]
        Coefficient c [g^(1-m) per °C^n and day].
    n, m : float64 [k]
        Exponents of temperature and weight [-].

    Returns
    -------
    float64 [k]
        Mean weight after [g].

    """
    warm = np.maximum(temp_c, 0)
    return np.where(temp_c <= 0, weight_g, weight_g + tgc * warm**n * weight_g**m)


def expected_deaths(
    stayed: IntArray, rate: RealArray, carry: RealArray
) -> tuple[IntArray, RealArray]:
    """Return the whole fish expected to die in a day, and the fraction that is carried on.

    `x = stay * rate + carry; died = floor(x + 1e-9); carry = x - died`

    Parameters
    ----------
    stayed : int64 [k]
        Fish that stay, 0 or more.
    rate : float64 [k]
        Share that dies in a day, 0 to 1 [-].
    carry : float64 [k]
        Fraction of a fish left from former days, 0 to 1 [fish].

    Returns
    -------
    died : int64 [k]
        Fish that die.
    carry : float64 [k]
        Fraction carried to the next day [fish].

    """
    x = stayed * rate + carry
    died = np.floor(x + TOLERANCE)
    return died.astype(np.int64), x - died


FORMULAS: Final[dict[str, Formula]] = {
    "cube_root": cube_root_growth,
    "power_law": power_law_growth,
}


def grow(
    inputs: DayInputs,
    arrivals: Arrivals,
    under_way: UnderWay,
    biology: Biology,
    start_weight_g: RealArray,
    start_stage: IntArray,
    *,
    formula: str = "cube_root",
    missing_mortality: str = "model",
) -> GrowthStates:
    """Compute the state of every active assignment and day.

    For each day, for all assignments at once, from the states of the day before:

    1. `N_stay = max(0, N(d-1) - departed)`
    2. `W* = (N_stay W(d-1) + sum n_i w_i) / (N_stay + arrived)`, without arrivals `W(d-1)`
    3. deaths: recorded; else shared from the batch's; else `expected_deaths`
    4. `N = N(d-1) + arrived - departed - died + adjustment`, with
       `adjustment = max(0, departed + died - N(d-1) - arrived)`
    5. `W_model = formula(W*, T)`, at most the cap but not below W*; no growth where T is unknown
    6. the anchor's weight where there is one
    7. the next stage where `W >= limit - 1e-9`

    Parameters
    ----------
    inputs : DayInputs
        What is known of each assignment and day.
    arrivals : Arrivals
        Movements that end in an active assignment, sorted by the day of arrival.
    under_way : UnderWay
        Movements that take days, wherever they end.
    biology : Biology
        Growth, deaths and limits per period or batch and per stage.
    start_weight_g : float64 [assignments]
        Weight before any fish has arrived [g].
    start_stage : int64 [assignments]
        Position of the stage in which the fish start.
    formula : str
        `cube_root` or `power_law`.
    missing_mortality : str
        `model`, or `zero`: a day without record has no deaths.

    Returns
    -------
    GrowthStates
        One entry per row of `inputs`.

    """
    size, assignments = len(inputs.stay), len(start_weight_g)
    population = np.zeros(assignments, dtype=np.int64)
    weight = start_weight_g.copy()
    carry = np.zeros(assignments)
    stage = start_stage.copy()
    inferred = np.zeros(assignments, dtype=np.bool_)

    out = GrowthStates(
        population=np.zeros(size, dtype=np.int64),
        weight_g=np.full(size, np.nan),
        mortality_carry=np.zeros(size),
        stage=np.zeros(size, dtype=np.int64),
        is_arrival_inferred=np.zeros(size, dtype=np.bool_),
        stayed=np.zeros(size, dtype=np.int64),
        died=np.zeros(size, dtype=np.int64),
        count_adjustment=np.zeros(size, dtype=np.int64),
        mixed_weight_g=np.full(size, np.nan),
        modelled_weight_g=np.full(size, np.nan),
        weight_source=np.full(size, "tgc_computed", dtype=object),
        mortality_source=np.full(size, "model", dtype=object),
        arrived_mass_g=np.zeros(size),
        yesterday_count=np.zeros(size, dtype=np.int64),
        yesterday_weight_g=np.full(size, np.nan),
        is_death_record_rejected=np.zeros(size, dtype=np.bool_),
        is_batch_record_rejected=np.zeros(size, dtype=np.bool_),
    )
    day_count = len(inputs.bounds) - 1
    days = inputs.first_day + np.arange(day_count + 1)
    arriving_bounds = np.searchsorted(arrivals.arrived_day, days)
    step = FORMULAS[formula]
    has_record = (inputs.recorded_deaths >= 0) | (inputs.batch_deaths >= 0)

    for i in range(day_count):
        rows = slice(int(inputs.bounds[i]), int(inputs.bounds[i + 1]))
        if rows.start == rows.stop:
            continue
        stay = inputs.stay[rows]
        count_before, weight_before = population[stay], weight[stay]
        stage_before, is_inferred = stage[stay], inferred[stay]
        arrived, departed = inputs.arrived[rows], inputs.departed[rows]

        # 1, 2: those that stay, and the mix with those that arrive
        stayed = np.maximum(count_before - departed, 0)
        mixed = weight_before
        arriving = slice(int(arriving_bounds[i]), int(arriving_bounds[i + 1]))
        if arriving.start < arriving.stop:
            at = arrivals.row[arriving] - rows.start
            number = arrivals.fish_count[arriving]
            arriving_g, source = arrivals.weight_g[arriving], arrivals.source[arriving]
            unweighed = np.isnan(arriving_g) & (source >= 0)
            arriving_g = np.where(unweighed, weight[source], arriving_g)
            is_uncertain = arrivals.is_inferred[arriving] | (unweighed & inferred[source])
            mass = np.bincount(at, weights=number * arriving_g, minlength=len(stay))
            out.arrived_mass_g[rows] = mass
            mix = arrived > 0
            held = np.where(stayed > 0, stayed * weight_before, 0.0)
            mixed = np.where(mix, (held + mass) / np.maximum(stayed + arrived, 1), mixed)
            marked = at[is_uncertain & (number > 0)]
            is_inferred[marked] = True

        # 3: deaths
        period = inputs.period[rows]
        rate = biology.rate[period, stage_before]
        if missing_mortality == "zero":
            died, carry_after = np.zeros(len(stay), dtype=np.int64), carry[stay]
            source_of_deaths = np.full(len(stay), "inferred_zero", dtype=object)
        else:
            died, carry_after = expected_deaths(stayed, rate, carry[stay])
            source_of_deaths = np.full(len(stay), "model", dtype=object)
        if bool(has_record[rows].any()):
            away = (under_way.departed_day <= days[i]) & (under_way.arrived_day > days[i])
            died, carry_after = _recorded(
                out, inputs, rows, count_before, died, carry_after, carry[stay], source_of_deaths,
                under_way.batch[away],
            )  # fmt: skip

        # 4: number
        adjustment = np.maximum(0, departed + died - count_before - arrived)
        count = count_before + arrived - departed - died + adjustment

        # 5: growth, cap
        temp = inputs.temp_c[rows]
        grown = step(
            mixed,
            temp,
            biology.tgc[period, stage_before],
            biology.exponent_n[period, stage_before],
            biology.exponent_m[period, stage_before],
        )
        has_temp = ~np.isnan(temp)
        grown = np.where(has_temp, grown, mixed)
        cap = biology.cap_g[stay]
        modelled = np.maximum(mixed, np.minimum(grown, cap))
        source_of_weight = np.full(len(stay), "tgc_computed", dtype=object)
        source_of_weight[grown > modelled + TOLERANCE] = "capped"
        source_of_weight[~has_temp] = "unchanged"

        # 6: anchor
        anchor = inputs.anchor_weight_g[rows]
        anchored = ~np.isnan(anchor)
        after = np.where(anchored, anchor, modelled)
        source_of_weight[anchored] = "measured"
        is_inferred &= ~anchored

        # 7: stage
        following = biology.following[stage_before]
        limit = biology.limit_g[inputs.batch[rows], stage_before]
        moves_on = (after >= limit - TOLERANCE) & (following >= 0)
        stage_after = np.where(moves_on, following, stage_before)

        population[stay], weight[stay], carry[stay] = count, after, carry_after
        stage[stay], inferred[stay] = stage_after, is_inferred
        for target, value in (
            (out.population, count),
            (out.weight_g, after),
            (out.mortality_carry, carry_after),
            (out.stage, stage_after),
            (out.is_arrival_inferred, is_inferred),
            (out.stayed, stayed),
            (out.died, died),
            (out.count_adjustment, adjustment),
            (out.mixed_weight_g, mixed),
            (out.modelled_weight_g, modelled),
            (out.weight_source, source_of_weight),
            (out.mortality_source, source_of_deaths),
            (out.yesterday_count, count_before),
            (out.yesterday_weight_g, weight_before),
        ):
            target[rows] = value
    return out


def _recorded(
    out: GrowthStates,
    inputs: DayInputs,
    rows: slice,
    count_before: IntArray,
    expected: IntArray,
    carry_expected: RealArray,
    carry_before: RealArray,
    source: TextArray,
    in_transit: IntArray,
) -> tuple[IntArray, RealArray]:
    """Put recorded deaths in the place of expected ones; `source` is changed in place.

    Own records are rejected where the whole batch has no fish (`N(d-1) + arrived` is 0
    everywhere, and none are in transit), save a recorded 0; records of the batch alone where none
    are left to share them (less departed). The carried fraction is kept on recorded days.
    """
    own, of_batch, batch = (
        inputs.recorded_deaths[rows],
        inputs.batch_deaths[rows],
        inputs.batch[rows],
    )
    arrived, departed = inputs.arrived[rows], inputs.departed[rows]
    _, group = np.unique(batch, return_inverse=True)
    present = np.zeros(len(own), dtype=np.int64)
    np.add.at(present, group, count_before + arrived)
    own_rejected = (own > 0) & (present[group] == 0) & ~np.isin(batch, in_transit)
    is_own = (own >= 0) & ~own_rejected

    is_shared = of_batch >= 0
    share = np.zeros(len(own), dtype=np.int64)
    batch_rejected = np.zeros(len(own), dtype=np.bool_)
    if bool(is_shared.any()):
        base = np.maximum(count_before + arrived - departed, 0)
        share = whole_shares(np.where(is_shared, of_batch, 0), base, group)
        left = np.zeros(len(own), dtype=np.int64)
        np.add.at(left, group, base)
        batch_rejected = is_shared & (left[group] == 0)
        is_shared &= ~batch_rejected
    is_recorded = is_own | is_shared
    died = np.where(is_own, own, 0) + np.where(is_shared, share, 0)
    source[is_own] = "actual"
    source[is_shared] = "prorated"
    out.is_death_record_rejected[rows] = own_rejected
    out.is_batch_record_rejected[rows] = batch_rejected
    return (
        np.where(is_recorded, died, expected).astype(np.int64),
        np.where(is_recorded, carry_before, carry_expected),
    )
