"""The truth: what befalls the fish, day by day, whoever watches.

All batches of a lineage are simulated at once; arrays have one row per stay and one column
per day since the lineage's first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from anchorline.demo.biology import (
    ADULT,
    EGG,
    EGG_WEIGHT_G,
    HARVEST_SHORTFALL_SHARE,
    STAGES,
    TRANSFER_LOSS_SHARE,
    WEIGHT_CV,
    Flags,
    Floats,
    Integers,
    autocorrelated_noise,
    grown_weight_g,
    seasonal_temp_c,
)
from anchorline.demo.plan import LineagePlan, Move, to_date

_NO_SEA_DEATHS_SHARE: Final = 0.08
"""Share of the days at sea on which no fish dies."""

_FRESH_AMPLITUDE_C: Final = 0.9


@dataclass(frozen=True)
class Truth:
    """States at the end of each day; shape (stays, days). Rows outside the stays are 0."""

    origin_day: int
    is_active: Flags
    weight_g: Floats
    """Mean weight [g]."""
    population: Integers
    temp_c: Floats
    """Daily mean of the water [°C]."""
    arrived: Integers
    departed: Integers
    died: Integers
    gain_kg: Floats
    """Growth of the living on that day [kg]: N * (W after growth - W before) / 1000."""

    def at(self, stay_index: int, day: int) -> tuple[float, int]:
        """Return weight [g] and number of a stay at the end of a day [days since 1970]."""
        column = day - self.origin_day
        return (
            float(self.weight_g[stay_index, column]),
            int(self.population[stay_index, column]),
        )


def activity(plan: LineagePlan) -> Flags:
    """Return on which days each stay is active; shape (stays, days)."""
    days = np.arange(plan.day_count) + plan.origin_day
    first = np.array([stay.first_day for stay in plan.stays])[:, None]
    end = np.array([stay.end_day(plan.horizon_day) for stay in plan.stays])[:, None]
    active: Flags = (days[None, :] >= first) & (days[None, :] < end)
    return active


def water_temp_c(plan: LineagePlan, rng: np.random.Generator) -> Floats:
    """Return the daily mean of each stay's water [°C]; shape (stays, days).

    Site and season, the container's own offset, and weather that outlasts the day.
    """
    dates = [to_date(plan.origin_day + day) for day in range(plan.day_count)]
    days_of_year = np.array([day.timetuple().tm_yday for day in dates], dtype=np.float64)
    temp_c = autocorrelated_noise(rng, len(plan.stays), plan.day_count, correlation=0.85, sd=0.35)
    seasons: dict[tuple[float, float], Floats] = {}
    for row, stay in enumerate(plan.stays):
        stage, site = STAGES[stay.stage], stay.batch.site
        season = (site.sea_mean_c, site.sea_amplitude_c)
        if stage.fresh_water_c is not None:
            season = (stage.fresh_water_c, _FRESH_AMPLITUDE_C)
        if season not in seasons:
            seasons[season] = seasonal_temp_c(*season, days_of_year)
        temp_c[row] += seasons[season] + stay.container.temp_offset_c
    clipped: Floats = np.maximum(temp_c, 0.2)
    return clipped


def true_tgc(plan: LineagePlan, rng: np.random.Generator) -> Floats:
    """Return the true TGC [1000 g^(1/3) / (°C day)] of each stay and day; (stays, days)."""
    tgc = 1.0 + autocorrelated_noise(
        rng, len(plan.stays), plan.day_count, correlation=0.95, sd=0.12
    )
    of_stay = np.array([STAGES[stay.stage].tgc * stay.batch.tgc_factor for stay in plan.stays])
    scaled: Floats = np.maximum(tgc, 0.2) * of_stay[:, None]
    return scaled


def daily_mortality(plan: LineagePlan, rng: np.random.Generator) -> Floats:
    """Return the probability to die on each day of each stay, 0 to 1; shape (stays, days)."""
    shape = (len(plan.stays), plan.day_count)
    of_stay = np.array(
        [
            STAGES[stay.stage].daily_mortality_percent / 100.0 * stay.batch.mortality_factor
            for stay in plan.stays
        ]
    )
    rate = of_stay[:, None] * rng.gamma(2.0, 0.5, shape)
    at_sea = np.array([stay.stage == ADULT for stay in plan.stays])[:, None]
    rate[at_sea & (rng.random(shape) < _NO_SEA_DEATHS_SHARE)] = 0.0
    for special in plan.special("deaths_zero"):
        columns = slice(special.first_day - plan.origin_day, special.last_day + 1 - plan.origin_day)
        rate[special.stay.index, columns] = 0.0
    return rate


def selected_weight_ratio(selection_method: str, share: float) -> float:
    """Return the mean weight of selected fish relative to that of all.

    `share` (0 to 1) of normally distributed fish with `WEIGHT_CV` are taken from the upper
    (LARGEST) or lower (SMALLEST) end: 1 ± CV * phi(z) / share, z the quantile of `share`.
    """
    if selection_method == "AVERAGE" or not 0.0 < share < 1.0:
        return 1.0
    normal = NormalDist()
    distance = WEIGHT_CV * normal.pdf(normal.inv_cdf(share)) / share
    return 1.0 + distance if selection_method == "LARGEST" else 1.0 - distance


class Simulation:
    """One run through the days of a lineage."""

    def __init__(self, plan: LineagePlan, rng: np.random.Generator) -> None:
        self._plan = plan
        self._rng = rng
        stays, days = len(plan.stays), plan.day_count
        self._count = np.zeros(stays, dtype=np.int64)
        self._weight_g = np.full(stays, EGG_WEIGHT_G)
        self._arrived = np.zeros((stays, days), dtype=np.int64)
        self._departed = np.zeros((stays, days), dtype=np.int64)
        self._parcels: dict[int, list[Move]] = defaultdict(list)

    def run(self) -> Truth:
        """Simulate all days and fill in what each movement moved."""
        plan, rng = self._plan, self._rng
        is_active = activity(plan)
        temp_c = water_temp_c(plan, rng)
        tgc = true_tgc(plan, rng)
        mortality = daily_mortality(plan, rng)
        weight_g = np.zeros(is_active.shape)
        gain_kg = np.zeros(is_active.shape)
        population = np.zeros(is_active.shape, dtype=np.int64)
        died = np.zeros(is_active.shape, dtype=np.int64)
        moves: dict[int, list[Move]] = defaultdict(list)
        for move in plan.moves:
            moves[move.day - plan.origin_day].append(move)
        for day in range(plan.day_count):
            for parcel in self._parcels.pop(day, ()):
                self._arrive(parcel, day)
            for move in moves.get(day, ()):
                self._move(move, day)
            active = is_active[:, day]
            died[:, day] = rng.binomial(self._count, np.where(active, mortality[:, day], 0.0))
            self._count -= died[:, day]
            grown = grown_weight_g(self._weight_g, tgc[:, day], temp_c[:, day])
            grown = np.where(active, grown, self._weight_g)
            gain_kg[:, day] = self._count * (grown - self._weight_g) / 1000.0
            self._weight_g = grown
            weight_g[:, day] = np.where(active, grown, 0.0)
            population[:, day] = np.where(active, self._count, 0)
        return Truth(
            origin_day=plan.origin_day,
            is_active=is_active,
            weight_g=weight_g,
            population=population,
            temp_c=temp_c,
            arrived=self._arrived,
            departed=self._departed,
            died=died,
            gain_kg=gain_kg,
        )

    def _move(self, move: Move, day: int) -> None:
        if move.kind == "stocking":
            move.moved_count, move.weight_g = move.count, EGG_WEIGHT_G
            self._arrive(move, day)
            return
        if move.source is None:
            raise ValueError(f"a {move.kind} needs a source")
        source = move.source.index
        before = int(self._count[source])
        before_weight_g = float(self._weight_g[source])
        move.before_count, move.before_weight_g = before, before_weight_g
        if move.kind == "deaths":
            rate = STAGES[move.source.stage].daily_mortality_percent / 100.0
            leaving = min(before, 2 + int(self._rng.binomial(before, rate)))
        elif move.kind == "harvest" and move.share is None:
            leaving = before - int(self._rng.binomial(before, HARVEST_SHORTFALL_SHARE))
        else:
            leaving = before if move.share is None else round(before * move.share)
        if move.kind == "transfer":
            is_pumped = move.source.stage != EGG and not move.source.is_vessel
            share = TRANSFER_LOSS_SHARE * self._rng.random() if is_pumped else 0.0
            move.lost_count = int(self._rng.binomial(leaving, share))
        move.moved_count = leaving - move.lost_count
        ratio = selected_weight_ratio(move.selection_method, leaving / before if before else 1.0)
        move.weight_g = before_weight_g * ratio
        staying = before - leaving
        if staying:
            # Mass is conserved: what is taken above the mean leaves the others below it.
            remaining_g = before * before_weight_g - leaving * move.weight_g
            self._weight_g[source] = remaining_g / staying
        self._count[source] = staying
        self._departed[source, day] += leaving
        if move.dest is None:
            return
        if move.lag_days:
            self._parcels[day + move.lag_days].append(move)
        else:
            self._arrive(move, day)

    def _arrive(self, move: Move, day: int) -> None:
        if move.dest is None:
            raise ValueError(f"a {move.kind} that arrives needs a destination")
        dest, count = move.dest.index, move.moved_count
        there = int(self._count[dest])
        if there + count:
            mass_g = there * self._weight_g[dest] + count * move.weight_g
            self._weight_g[dest] = mass_g / (there + count)
        self._count[dest] += count
        self._arrived[dest, day] += count


def simulate(plan: LineagePlan, rng: np.random.Generator) -> Truth:
    """Return the truth of a lineage, and fill in the results of its movements."""
    return Simulation(plan, rng).run()
