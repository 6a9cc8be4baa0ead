"""What the smoothed series rests on: clock and drift of each stay, and what was observed when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from anchorline.reference.inputs import Seeds
from anchorline.reference.tables import (
    IntArray,
    RealArray,
    day_key,
    ints,
    positions,
    reals,
    take,
)


@dataclass(frozen=True)
class Constants:
    """The seed `smoothing_constants`.

    ``process_noise`` q [g^(2/3) per degree-day], ``sample_bias`` b, ``default_weight_cv`` and
    ``start_weight_cv`` [share of the weight]; ``suspect_innovation``, ``cusum_slack`` and
    ``cusum_limit`` [standard deviations].
    """

    process_noise: float
    sample_bias: float
    default_weight_cv: float
    start_weight_cv: float
    suspect_innovation: float
    cusum_slack: float
    cusum_limit: float

    @classmethod
    def of(cls, seeds: Seeds) -> Constants:
        """Take the constants from their seed."""
        return cls(**{name: seeds.smoothing(name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class StayDays:
    """One entry per state, sorted by assignment, then day; `stay` counts assignments from 0.

    ``degree_days`` [°C d] and ``drift`` [g^(1/3)] run from 0 before the first day of the stay.
    ``first`` is the first row of each stay, ``start_root`` [g^(1/3)] what its fish arrive with.
    """

    assignment_id: IntArray
    stay: IntArray
    day: IntArray
    degree_days: RealArray
    drift: RealArray
    population: IntArray
    first: IntArray
    start_root: RealArray

    def row(self, stay: IntArray, day: IntArray) -> IntArray:
        """Return the row of a stay and day, -1 where there is no state."""
        found = positions(day_key(stay, day), day_key(self.stay, self.day))
        return np.where(stay >= 0, found, -1).astype(np.int64)


@dataclass(frozen=True)
class Nodes:
    """Where the filter stops: index 0 (the start) and the observations of each stay, in order.

    ``first`` is the node of index 0 of each stay, ``count`` its number of observations; ``day``
    of index 0 is the day before the first; ``root`` and ``variance`` are what was observed
    [g^(1/3), g^(2/3)]: of index 0 the arriving weight, and no variance (NaN).
    """

    stay: IntArray
    index: IntArray
    day: IntArray
    degree_days: RealArray
    drift: RealArray
    root: RealArray
    variance: RealArray
    first: IntArray
    count: IntArray

    def last_until(self, stay: IntArray, day: IntArray) -> IntArray:
        """Return the stay's last node on or before a day; the day is not before index 0."""
        keys = day_key(self.stay, self.day)
        return np.asarray(np.searchsorted(keys, day_key(stay, day), side="right") - 1)


@dataclass(frozen=True)
class Arrivals:
    """Fish that arrive on the first day of a stay; `source` is -1 where they bring a weight.

    Those of a source weigh what its last state before `departed_day` says.
    """

    stay: IntArray
    source: IntArray
    departed_day: IntArray
    fish_count: IntArray


def stay_days(unrounded: pd.DataFrame) -> StayDays:
    """Return clock and drift of every state.

    `D(d)` is the sum of `max(T, 0)` over the days of the stay up to d, its first included (no
    temperature: 0). `G(d)` is the sum of what the model adds to the root on each day,
    `W_model^(1/3) - W*^(1/3)` on the first and `W_model(d)^(1/3) - W(d-1)^(1/3)` later: growth,
    changes of stage, caps, and the mix with fish that arrive later, as the states have them.

    Parameters
    ----------
    unrounded : frame
        Sorted by assignment and day: assignment_id, state_date, population, temp_c [°C],
        weight_g, mixed_weight_g, modelled_weight_g [g, above 0].

    """
    assignment_id = ints(unrounded, "assignment_id")
    is_first = np.ones(len(assignment_id), dtype=np.bool_)
    is_first[1:] = assignment_id[1:] != assignment_id[:-1]
    stay = np.cumsum(is_first) - 1
    mixed_root = np.cbrt(reals(unrounded, "mixed_weight_g"))
    yesterday_root = np.roll(np.cbrt(reals(unrounded, "weight_g")), 1)
    added = np.cbrt(reals(unrounded, "modelled_weight_g")) - np.where(
        is_first, mixed_root, yesterday_root
    )
    warmth = np.fmax(reals(unrounded, "temp_c"), 0.0)
    first = np.flatnonzero(is_first)
    return StayDays(
        assignment_id=assignment_id,
        stay=stay,
        day=unrounded["state_date"].to_numpy().astype("datetime64[D]").astype(np.int64),
        degree_days=_running_sum(warmth, stay),
        drift=_running_sum(added, stay),
        population=ints(unrounded, "population"),
        first=first,
        start_root=mixed_root[first],
    )


def observation_variance(
    weight_g: RealArray,
    std_deviation_weight_g: RealArray,
    sample_size: IntArray,
    population: IntArray,
    constants: Constants,
) -> RealArray:
    """Return the variance of a measured root: `R = (y^2 / 9) (CV^2 / n (1 - n/N) + b^2)`.

    `y = w^(1/3)`, so that `dy/y = dw/(3w)`. The first term is that of n fish drawn from N; b is
    how well a sample represents the group, which more fish in it do not help.

    Parameters
    ----------
    weight_g : float64 [n]
        Measured mean weight [g], above 0.
    std_deviation_weight_g : float64 [n]
        Standard deviation of single weights [g]; NaN or not above 0: `default_weight_cv`.
    sample_size : int64 [n]
        Fish weighed, 1 or more.
    population : int64 [n]
        Fish in the group; where no more than were weighed, the first term is 0.
    constants : Constants
        `default_weight_cv` and `sample_bias`.

    Returns
    -------
    float64 [n]
        Variance [g^(2/3)].

    """
    has_spread = std_deviation_weight_g > 0
    cv = np.where(has_spread, std_deviation_weight_g / weight_g, constants.default_weight_cv)
    finite = np.where(population > sample_size, 1.0 - sample_size / np.maximum(population, 1), 0.0)
    relative = cv**2 / sample_size * finite + constants.sample_bias**2
    return np.asarray(np.cbrt(weight_g) ** 2 / 9.0 * relative)


def observations(measurements: pd.DataFrame, days: StayDays, constants: Constants) -> pd.DataFrame:
    """Return the measurements that observe a state: those used, on a day that has one.

    Adds row (of the day in `days`), root [g^(1/3)] and variance [g^(2/3)]; sorted by row, with the
    index of `measurements`.
    """
    used = measurements[measurements["anchor_status"] == "used"]
    ids = days.assignment_id[days.first]
    anchor_day = used["anchor_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    row = days.row(positions(ints(used, "assignment_id"), ids), anchor_day)
    used, row = used[row >= 0], row[row >= 0]
    weight = reals(used, "weight_g")
    return used.assign(
        row=row,
        root=np.cbrt(weight),
        variance=observation_variance(
            weight,
            reals(used, "std_deviation_weight_g"),
            ints(used, "sample_size"),
            days.population[row],
            constants,
        ),
    ).sort_values(["row", "record_id"])


def inverse_variance_mean(
    group: IntArray, value: RealArray, variance: RealArray
) -> tuple[IntArray, RealArray, RealArray]:
    """Combine values of a group: `sum(y/R) / sum(1/R)`, with the variance `1 / sum(1/R)`.

    Returns the distinct groups in order, their means and variances.
    """
    distinct, of = np.unique(group, return_inverse=True)
    weight = np.bincount(of, weights=1.0 / variance, minlength=len(distinct))
    mean = np.bincount(of, weights=value / variance, minlength=len(distinct)) / weight
    return distinct, mean, 1.0 / weight


def filter_nodes(days: StayDays, observed: pd.DataFrame) -> Nodes:
    """Return the stops of the filter; several observations of a day are one (`observations`)."""
    row, root, variance = inverse_variance_mean(
        ints(observed, "row"), reals(observed, "root"), reals(observed, "variance")
    )
    stays = len(days.first)
    count = np.bincount(days.stay[row], minlength=stays)
    first = np.cumsum(count + 1) - (count + 1)
    stay = np.repeat(np.arange(stays), count + 1)
    index = np.arange(len(stay)) - first[stay]
    seen = index > 0

    def column(at_start: np.ndarray, later: np.ndarray) -> np.ndarray:
        values = at_start[stay].copy()
        values[seen] = later
        return values

    nothing = np.zeros(stays)
    return Nodes(
        stay=stay,
        index=index,
        day=column(days.day[days.first] - 1, days.day[row]),
        degree_days=column(nothing, days.degree_days[row]),
        drift=column(nothing, days.drift[row]),
        root=column(days.start_root, root),
        variance=column(np.full(stays, np.nan), variance),
        first=first,
        count=count,
    )


def first_arrivals(movements: pd.DataFrame, days: StayDays) -> Arrivals:
    """Return the fish with which each stay begins."""
    ids = days.assignment_id[days.first]

    def stay_of(column: str) -> IntArray:
        return positions(movements[column].fillna(-1).to_numpy(dtype=np.int64), ids)

    def day_of(column: str) -> IntArray:
        days_since = movements[column].to_numpy().astype("datetime64[D]").astype(np.int64)
        return np.asarray(days_since)

    stay, arrived = stay_of("to_assignment_id"), day_of("arrived_date")
    begins = (stay >= 0) & (arrived == take(days.day[days.first], stay, 0))
    unweighed = np.isnan(reals(movements, "weight_g"))
    source, departed = stay_of("from_assignment_id"), day_of("departed_date")
    is_known = unweighed & (days.row(source, departed - 1) >= 0)
    return Arrivals(
        stay=stay[begins],
        source=np.where(is_known, source, -1)[begins],
        departed_day=departed[begins],
        fish_count=ints(movements, "fish_count")[begins],
    )


def _running_sum(values: RealArray, group: IntArray) -> RealArray:
    return np.asarray(pd.Series(values).groupby(group).cumsum().to_numpy(), dtype=np.float64)
