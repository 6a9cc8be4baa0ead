"""The best estimate of each weight in hindsight: a Kalman filter, a smoother, and a bridge.

The state is `x = W^(1/3)`, its clock the degree-days D of the stay (growth model, section 10). The
filter and the smoother visit the observed days only; between them the state is a bridge, which
gives every day exactly what a filter over all days would give. The filter of an assignment begins
where its sources' filters stood when the fish left them, so that the series of a stay rests on
everything that was known of its fish on arrival, and on nothing that was learned of others later.

References
----------
Kalman 1960, J. Basic Eng. 82:35-45, doi:10.1115/1.3662552; Rauch, Tung & Striebel 1965, AIAA J.
3:1445-1450, doi:10.2514/3.3166; Page 1954, Biometrika 41:100-115, doi:10.1093/biomet/41.1-2.100

"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference.inputs import Seeds
from anchorline.reference.observations import (
    Arrivals,
    Constants,
    Nodes,
    StayDays,
    filter_nodes,
    first_arrivals,
    observations,
    stay_days,
)
from anchorline.reference.states import Result, round_half_up
from anchorline.reference.tables import (
    BoolArray,
    IntArray,
    RealArray,
    ints,
    positions,
    reals,
)

DECIMALS: Final = {
    "smoothed_weight_g": 4,
    "smoothed_weight_low_g": 4,
    "smoothed_weight_high_g": 4,
    "smoothed_biomass_kg": 2,
    "innovation": 2,
}
"""Decimals of the published columns, by column."""

BAND_WIDTH: Final = 1.96
"""Standard deviations from the middle of a 95 % band to its ends [-]."""


@dataclass(frozen=True)
class Smoothed:
    """The smoothed series of a farm.

    ``days`` and ``batch_days`` have the columns of `daily_assignment_smoothed` and
    `daily_batch_smoothed`, rounded as published. ``anchors`` says of each measurement what
    `weight_anchors` does: anchor_type, record_id, assignment_id, anchor_date, anchor_status,
    innovation, is_suspect, is_drifting; null where it observes no state. Unrounded:
    ``weight_filter``, one row per assignment and index 0 (the start), 1, 2, ... of its
    observations; and ``unrounded``, row for row with ``days``: degree_days, drift, and root and
    variance as known on the day and in hindsight.
    """

    days: pd.DataFrame
    batch_days: pd.DataFrame
    anchors: pd.DataFrame
    weight_filter: pd.DataFrame
    unrounded: pd.DataFrame


@dataclass(frozen=True)
class Filtered:
    """One entry per node; at index 0 the prior is the start, and the innovation NaN."""

    prior_root: RealArray
    prior_variance: RealArray
    root: RealArray
    variance: RealArray
    innovation: RealArray
    upper_sum: RealArray
    lower_sum: RealArray


@dataclass(frozen=True)
class Hindsight:
    """One entry per node; `covariance` is that with the next one, NaN at the last."""

    root: RealArray
    variance: RealArray
    covariance: RealArray


def smoothed_series(result: Result, seeds: Seeds) -> Smoothed:
    """Compute the smoothed series from the states, measurements and movements of a farm."""
    constants = Constants.of(seeds)
    days = stay_days(result.unrounded)
    observed = observations(result.measurements, days, constants)
    nodes = filter_nodes(days, observed)
    filtered = kalman_filter(
        nodes, days, first_arrivals(result.movements, days), days.start_root, constants
    )
    hindsight = rts_smoother(nodes, filtered)

    node = nodes.last_until(days.stay, days.day)
    root, variance = bridge(nodes, filtered, hindsight, days, node, constants.process_noise)
    since = days.degree_days - nodes.degree_days[node]
    unrounded = pd.DataFrame(
        {
            "assignment_id": days.assignment_id,
            "state_date": result.unrounded["state_date"],
            "degree_days": days.degree_days,
            "drift": days.drift,
            "filtered_root": filtered.root[node] + days.drift - nodes.drift[node],
            "filtered_variance": filtered.variance[node] + constants.process_noise * since,
            "smoothed_root": root,
            "smoothed_variance": variance,
        }
    )
    daily = _daily(result.states, days, nodes, node, root, variance)
    is_suspect, is_drifting = suspicions(filtered, constants)
    return Smoothed(
        days=_rounded(daily),
        batch_days=_rounded(batch_days(daily)),
        anchors=_anchors(result.measurements, observed, nodes, filtered, is_suspect, is_drifting),
        weight_filter=_filter_frame(days, nodes, filtered, hindsight, is_suspect, is_drifting),
        unrounded=unrounded,
    )


def kalman_filter(
    nodes: Nodes, days: StayDays, arrivals: Arrivals, start_root: RealArray, constants: Constants
) -> Filtered:
    """Filter the observations of every stay forward, sources before those they lead to.

    From one node to the next, over s degree-days and the drift g:
    `m- = m + g; P- = P + q s; K = P-/(P- + R); m = m- + K (y - m-); P = (1 - K) P-`.
    Innovation `nu = (y - m-)/sqrt(P- + R)`; its one-sided sums, after Page,
    `S+ = max(0, S+ + nu - slack); S- = max(0, S- - nu - slack)`.

    At index 0, m is the arriving weight's root x0 and P a mean by number of fish: of those
    of a source, its filter's variance at the end of the day before they left; of others,
    `(x0 CV / 3)^2` with `start_weight_cv`. All stays of a generation advance together.

    Parameters
    ----------
    nodes : Nodes
        Stops of the filter.
    days : StayDays
        For the degree-days at which fish left their source.
    arrivals : Arrivals
        Fish of each stay's first day; a stay that has none starts like stocked fish.
    start_root : float64 [stays]
        Root of the arriving weight [g^(1/3)], above 0.
    constants : Constants
        `process_noise`, `start_weight_cv`, `cusum_slack`.

    Returns
    -------
    Filtered
        One entry per node.

    """
    size = len(nodes.stay)
    out = Filtered(
        prior_root=np.full(size, np.nan),
        prior_variance=np.full(size, np.nan),
        root=np.full(size, np.nan),
        variance=np.full(size, np.nan),
        innovation=np.full(size, np.nan),
        upper_sum=np.zeros(size),
        lower_sum=np.zeros(size),
    )
    generation = _generations(arrivals, len(nodes.first))
    for number in range(int(generation.max(initial=-1)) + 1):
        stays = np.flatnonzero(generation == number)
        at = nodes.first[stays]
        out.root[at] = start_root[stays]
        out.variance[at] = _start_variance(stays, nodes, days, arrivals, out, constants)
        out.prior_root[at], out.prior_variance[at] = out.root[at], out.variance[at]
        for index in range(1, int(nodes.count[stays].max(initial=0)) + 1):
            at = nodes.first[stays[nodes.count[stays] >= index]] + index
            _observe(at, nodes, out, constants)
    return out


def rts_smoother(nodes: Nodes, filtered: Filtered) -> Hindsight:
    """Carry what later observations say back to the earlier ones.

    `G = P_i / P-_{i+1}; M_i = m_i + G (M_{i+1} - m-_{i+1}); V_i = P_i + G^2 (V_{i+1} - P-_{i+1});
    C_i = G V_{i+1}`, from the last node, where M and V are the filter's.
    """
    root, variance = filtered.root.copy(), filtered.variance.copy()
    covariance = np.full(len(root), np.nan)
    for index in range(int(nodes.count.max(initial=0)) - 1, -1, -1):
        at = nodes.first[nodes.count > index] + index
        after = at + 1
        gain = filtered.variance[at] / filtered.prior_variance[after]
        root[at] += gain * (root[after] - filtered.prior_root[after])
        variance[at] += gain**2 * (variance[after] - filtered.prior_variance[after])
        covariance[at] = gain * variance[after]
    return Hindsight(root, variance, covariance)


def bridge(
    nodes: Nodes,
    filtered: Filtered,
    hindsight: Hindsight,
    days: StayDays,
    node: IntArray,
    process_noise: float,
) -> tuple[RealArray, RealArray]:
    """Return mean and variance of every day's root, in hindsight.

    Between nodes i and i+1, s degree-days apart, with `a = (D - D_i)/s` (0 where s is 0):
    mean `(1-a) (M_i + G - G_i) + a (M_{i+1} - (G_{i+1} - G))`,
    variance `(1-a)^2 V_i + a^2 V_{i+1} + 2 a (1-a) C_i + q s a (1-a)`.
    After the last node `m + G - G_n` and `P + q (D - D_n)`.

    Parameters
    ----------
    nodes, filtered, hindsight
        One entry per node.
    days : StayDays
        One entry per state.
    node : int64 [states]
        Each state's last node on or before its day.
    process_noise : float
        q [g^(2/3) per degree-day].

    Returns
    -------
    root, variance : float64 [states]
        [g^(1/3)] and [g^(2/3)].

    """
    is_between = nodes.index[node] < nodes.count[days.stay]
    after = np.where(is_between, node + 1, node)
    length = nodes.degree_days[after] - nodes.degree_days[node]
    since = days.degree_days - nodes.degree_days[node]
    a = np.where(length > 0, since / np.where(length > 0, length, 1.0), 0.0)
    grown = hindsight.root[node] + days.drift - nodes.drift[node]
    still_to_grow = nodes.drift[after] - days.drift
    root = (1 - a) * grown + a * (hindsight.root[after] - still_to_grow)
    covariance = np.where(is_between, hindsight.covariance[node], 0.0)
    variance = (
        (1 - a) ** 2 * hindsight.variance[node]
        + a**2 * hindsight.variance[after]
        + 2 * a * (1 - a) * covariance
        + process_noise * length * a * (1 - a)
    )
    return (
        np.where(is_between, root, grown),
        np.where(is_between, variance, filtered.variance[node] + process_noise * since),
    )


def suspicions(filtered: Filtered, constants: Constants) -> tuple[BoolArray, BoolArray]:
    """Say of each node whether its innovation is beyond the limit, and whether they all lean.

    `|nu| > suspect_innovation`; and `S+` or `S-` above `cusum_limit`.
    """
    is_suspect = np.abs(filtered.innovation) > constants.suspect_innovation
    largest = np.maximum(filtered.upper_sum, filtered.lower_sum)
    return is_suspect, np.asarray(largest > constants.cusum_limit)


def weight_band(root: RealArray, variance: RealArray) -> tuple[RealArray, RealArray]:
    """Return the ends of a 95 % band [g]: `max(x -+ 1.96 sqrt(V), 0)^3`."""
    reach = BAND_WIDTH * np.sqrt(variance)
    return np.maximum(root - reach, 0.0) ** 3, np.maximum(root + reach, 0.0) ** 3


def batch_days(daily: pd.DataFrame) -> pd.DataFrame:
    """Combine the series of a batch's assignments by number of fish, unrounded.

    The ends of the band, too, are means by number: the errors of all containers of a batch are
    taken to point the same way, as those of its growth model do. Null where there are no fish.
    The biomass is the sum of the published ones.
    """
    keys = ["batch_id", "state_date"]
    weights = ["smoothed_weight_g", "smoothed_weight_low_g", "smoothed_weight_high_g"]
    count = daily["population"]
    masses = daily[weights].mul(count, axis=0)
    summed = pd.concat([daily[[*keys, "batch_number", "population"]], masses], axis=1)
    summed["smoothed_biomass_kg"] = round_half_up(
        reals(daily, "smoothed_biomass_kg"), DECIMALS["smoothed_biomass_kg"]
    )
    summed["container_count"] = (count > 0).astype("int64")
    summed["observed_container_count"] = daily["is_observed"].astype("int64")
    sums = ["population", "container_count", "observed_container_count", "smoothed_biomass_kg"]
    by_day = summed.groupby(keys, as_index=False).agg(
        {"batch_number": "first"} | dict.fromkeys([*weights, *sums], "sum")
    )
    fish = by_day["population"].where(by_day["population"] > 0)
    by_day[weights] = by_day[weights].div(fish, axis=0)
    return by_day


def _generations(arrivals: Arrivals, stays: int) -> IntArray:
    """Return how many sources stand, at most, between a stay and one that has none.

    A source begins before the stays that its fish enter, so that this ends.
    """
    linked = arrivals.source >= 0
    source, stay = arrivals.source[linked], arrivals.stay[linked]
    generation = np.zeros(stays, dtype=np.int64)
    while True:
        later = generation.copy()
        np.maximum.at(later, stay, generation[source] + 1)
        if np.array_equal(later, generation):
            return generation
        generation = later


def _start_variance(
    stays: IntArray,
    nodes: Nodes,
    days: StayDays,
    arrivals: Arrivals,
    out: Filtered,
    constants: Constants,
) -> RealArray:
    """Return P at index 0 of some stays, whose sources have been filtered; see `kalman_filter`."""
    at = positions(arrivals.stay, stays)
    here = at >= 0
    at, source, count = at[here], arrivals.source[here], arrivals.fish_count[here]
    wide = (out.root[nodes.first[stays]] * constants.start_weight_cv / 3.0) ** 2
    brought = wide[at]
    known = source >= 0
    left = arrivals.departed_day[here][known] - 1
    node = nodes.last_until(source[known], left)
    since = days.degree_days[days.row(source[known], left)] - nodes.degree_days[node]
    brought[known] = out.variance[node] + constants.process_noise * since
    fish = np.bincount(at, weights=count, minlength=len(stays))
    total = np.bincount(at, weights=count * brought, minlength=len(stays))
    return np.where(fish > 0, total / np.where(fish > 0, fish, 1.0), wide)


def _observe(at: IntArray, nodes: Nodes, out: Filtered, constants: Constants) -> None:
    """Fill the filter at some nodes from the nodes before them."""
    before = at - 1
    prior_root = out.root[before] + nodes.drift[at] - nodes.drift[before]
    passed = nodes.degree_days[at] - nodes.degree_days[before]
    prior_variance = out.variance[before] + constants.process_noise * passed
    surprise = nodes.root[at] - prior_root
    expected = prior_variance + nodes.variance[at]
    gain = prior_variance / expected
    innovation = surprise / np.sqrt(expected)
    out.prior_root[at], out.prior_variance[at] = prior_root, prior_variance
    out.root[at] = prior_root + gain * surprise
    out.variance[at] = (1.0 - gain) * prior_variance
    out.innovation[at] = innovation
    slack = constants.cusum_slack
    out.upper_sum[at] = np.maximum(0.0, out.upper_sum[before] + innovation - slack)
    out.lower_sum[at] = np.maximum(0.0, out.lower_sum[before] - innovation - slack)


def _daily(
    states: pd.DataFrame,
    days: StayDays,
    nodes: Nodes,
    node: IntArray,
    root: RealArray,
    variance: RealArray,
) -> pd.DataFrame:
    """Return the columns of `daily_assignment_smoothed`, unrounded."""
    low, high = weight_band(root, variance)
    weight = np.maximum(root, 0.0) ** 3
    is_seen = nodes.index[node] > 0
    is_observed = is_seen & (nodes.day[node] == days.day)
    has_next = nodes.index[node] < nodes.count[days.stay]
    following = np.where(has_next, node + 1, node)
    which = ["assignment_id", "state_date", "batch_id", "batch_number", "container_id"]
    return states[[*which, "container_name"]].assign(
        smoothed_weight_g=weight,
        smoothed_weight_low_g=low,
        smoothed_weight_high_g=high,
        population=days.population,
        smoothed_biomass_kg=days.population * weight / 1000.0,
        is_observed=is_observed,
        days_since_last_observation=_whole(days.day - nodes.day[node], is_seen),
        days_to_next_observation=_whole(nodes.day[following] - days.day, has_next),
    )


def _anchors(
    measurements: pd.DataFrame,
    observed: pd.DataFrame,
    nodes: Nodes,
    filtered: Filtered,
    is_suspect: BoolArray,
    is_drifting: BoolArray,
) -> pd.DataFrame:
    """Give each observation the innovation of its day, in which all of the day have a share."""
    _, of = np.unique(ints(observed, "row"), return_inverse=True)
    at = np.flatnonzero(nodes.index > 0)[of]
    judged = pd.DataFrame(
        {
            "innovation": filtered.innovation[at],
            "is_suspect": is_suspect[at].astype(object),
            "is_drifting": is_drifting[at].astype(object),
        },
        index=observed.index,
    ).reindex(measurements.index)
    which = ["anchor_type", "record_id", "assignment_id", "anchor_date", "anchor_status"]
    flags = judged[["is_suspect", "is_drifting"]]
    judged = judged.assign(**flags.astype(object).where(flags.notna(), None))
    return _rounded(pd.concat([measurements[which], judged], axis=1))


def _filter_frame(
    days: StayDays,
    nodes: Nodes,
    filtered: Filtered,
    hindsight: Hindsight,
    is_suspect: BoolArray,
    is_drifting: BoolArray,
) -> pd.DataFrame:
    observed_date = nodes.day.astype("datetime64[D]").astype("datetime64[s]")
    observed_date[nodes.index == 0] = np.datetime64("NaT")
    return pd.DataFrame(
        {
            "assignment_id": days.assignment_id[days.first][nodes.stay],
            "observation_index": nodes.index,
            "observed_date": observed_date,
            "degree_days": nodes.degree_days,
            "root_drift": nodes.drift,
            "observed_root": np.where(nodes.index > 0, nodes.root, np.nan),
            "observed_root_variance": nodes.variance,
            "prior_root": filtered.prior_root,
            "prior_variance": filtered.prior_variance,
            "filtered_root": filtered.root,
            "filtered_variance": filtered.variance,
            "innovation": filtered.innovation,
            "is_suspect": is_suspect,
            "is_drifting": is_drifting,
            "smoothed_root": hindsight.root,
            "smoothed_variance": hindsight.variance,
            "smoothed_covariance": hindsight.covariance,
        }
    )


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(
        **{
            name: round_half_up(reals(frame, name), decimals)
            for name, decimals in DECIMALS.items()
            if name in frame
        }
    )


def _whole(values: IntArray, known: BoolArray) -> pd.Series:
    return pd.Series(values, dtype="Int64").mask(pd.Series(~known))
