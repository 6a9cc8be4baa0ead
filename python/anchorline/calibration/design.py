"""What the calibration rests on: the observations of all stays, and the growth between them.

Frames with a row per stay, measurement, event and handover become arrays in the order in which
the filter visits them. Days are whole days since 1970-01-01.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference.tables import (
    IntArray,
    RealArray,
    day_key,
    ints,
    positions,
    reals,
)

STAGE: Final = ["lifecycle_stage_id"]
SITE: Final = ["lifecycle_stage_id", "site_kind", "site_id"]
"""What a factor of growth may belong to: a stage, or a stage at a site."""


@dataclass(frozen=True)
class Inputs:
    """The frames of a farm; roots in g^(1/3), variances in g^(2/3), degree-days in °C d.

    ``stays``: assignment_id, batch_id, site_kind (None: unknown), site_id (-1: unknown),
    site_name; start_root and outside_variance, which is what fish from outside add to the
    variance of the start.
    ``measurements``: assignment_id, day, weight_g, std_deviation_weight_g, sample_size,
    population, of all that the series have seen, several of a day each by itself.
    ``events``: assignment_id, day, degree_days, root_drift: clock and drift of the stay at the
    end of each day with a measurement or before fish leave for the start of another stay.
    ``growth``: assignment_id, day, lifecycle_stage_id, growth, degree_days: what the model grew
    in a stage since the event before, and in how many degree-days, by the day of the next event.
    ``handovers``: source_assignment_id, assignment_id, day, fish_share: fish that are known from
    another stay, at the end of a day of it.
    """

    stays: pd.DataFrame
    measurements: pd.DataFrame
    events: pd.DataFrame
    growth: pd.DataFrame
    handovers: pd.DataFrame


@dataclass(frozen=True)
class Design:
    """Arrays of the filter: S stays, N nodes (observed days), M measurements, A arrivals.

    ``columns`` names the K factors. ``start_effect`` and ``effect`` say by how much the expected
    root rises per unit of each factor: of the fish that a stay begins with, since they were last
    weighed, and of those of a node, since the node before or the start.
    """

    columns: pd.DataFrame
    # stays
    assignment_id: IntArray
    batch_id: IntArray
    start_root: RealArray
    outside_variance: RealArray
    start_effect: RealArray
    generation: IntArray
    first: IntArray
    count: IntArray
    # nodes, sorted by stay and day
    stay: IntArray
    day: IntArray
    degree_days: RealArray
    drift: RealArray
    effect: RealArray
    # how many degree-days each factor had a part in
    factor_degree_days: RealArray
    # measurements
    node: IntArray
    root: RealArray
    relative_variance: RealArray
    # arrivals
    source: IntArray
    arrives_at: IntArray
    fish_share: RealArray
    source_node: IntArray
    source_degree_days: RealArray

    @property
    def batches(self) -> IntArray:
        """The batch of each node."""
        return self.batch_id[self.stay]


def make_design(inputs: Inputs, by: list[str], default_weight_cv: float) -> Design:
    """Put the frames in the filter's order, with one factor per stage or stage and site.

    The model's growth is linear in the factors: a root that it expects to grow by g in a stage
    grows by f g. A segment with a change of stage counts for both stages, each with its share of
    the drift. Fish that arrive later mix as the model has them; that part of the drift is no
    growth. Fish of another stay bring their sensitivity with them: the model has grown
    them, with its own TGC, since they were last weighed there.
    """
    stays = inputs.stays.sort_values("assignment_id", ignore_index=True)
    ids = ints(stays, "assignment_id")
    events = inputs.events.assign(stay=positions(ints(inputs.events, "assignment_id"), ids))
    events = events[events["stay"] >= 0].sort_values(["stay", "day"], ignore_index=True)
    event_stay, event_day = ints(events, "stay"), ints(events, "day")
    event_key = day_key(event_stay, event_day)

    node_event, node_of, measured = _observed(inputs.measurements, ids, event_key)
    stay = event_stay[node_event]
    count = np.bincount(stay, minlength=len(ids))

    columns, growth, warmth = _factors(inputs.growth, stays, ids, event_key, by)
    grown = _running_sum(growth, event_stay)
    warmed = _running_sum(warmth, event_stay)

    source, arrives_at, event, fish_share = _arrivals(inputs.handovers, ids, event_key)
    source_node = np.searchsorted(node_event, event, side="right") - 1
    source_node = np.where(_or_zero(stay + 1, source_node) == source + 1, source_node, -1)
    weighed_at = np.append(node_event, -1)[source_node]
    since = grown[event] - _or_zero(grown, weighed_at)
    generation = _generations(source, arrives_at, len(ids))
    start_effect = np.zeros((len(ids), len(columns)))
    for number in range(1, int(generation.max(initial=0)) + 1):
        here = generation[arrives_at] == number
        from_start = np.where(source_node[here] < 0, source[here], -1)
        brought = since[here] + _or_zero(start_effect, from_start)
        np.add.at(start_effect, arrives_at[here], fish_share[here, None] * brought)

    weight, size = reals(measured, "weight_g"), reals(measured, "sample_size")
    spread, population = reals(measured, "std_deviation_weight_g"), reals(measured, "population")
    cv = np.where(spread > 0, spread / weight, default_weight_cv)
    finite = np.where(population > size, 1.0 - size / np.maximum(population, 1.0), 0.0)

    degree_days = reals(events, "degree_days")
    return Design(
        columns=columns,
        assignment_id=ids,
        batch_id=ints(stays, "batch_id"),
        start_root=reals(stays, "start_root"),
        outside_variance=reals(stays, "outside_variance"),
        start_effect=start_effect,
        generation=generation,
        first=np.cumsum(count) - count,
        count=count,
        stay=stay,
        day=event_day[node_event],
        degree_days=_steps(degree_days[node_event], stay),
        drift=_steps(reals(events, "root_drift")[node_event], stay),
        effect=_steps(grown[node_event], stay),
        factor_degree_days=_steps(warmed[node_event], stay),
        node=node_of,
        root=np.cbrt(weight),
        relative_variance=cv**2 / size * finite,
        source=source,
        arrives_at=arrives_at,
        fish_share=fish_share,
        source_node=source_node,
        source_degree_days=degree_days[event] - _or_zero(degree_days, weighed_at),
    )


def _observed(
    measurements: pd.DataFrame, ids: IntArray, event_key: IntArray
) -> tuple[IntArray, IntArray, pd.DataFrame]:
    """Return the event of each node, the node of each measurement, and the measurements."""
    event = positions(
        day_key(positions(ints(measurements, "assignment_id"), ids), ints(measurements, "day")),
        event_key,
    )
    node_event, node = np.unique(event[event >= 0], return_inverse=True)
    return node_event, node, measurements[event >= 0]


def _factors(
    growth: pd.DataFrame, stays: pd.DataFrame, ids: IntArray, event_key: IntArray, by: list[str]
) -> tuple[pd.DataFrame, RealArray, RealArray]:
    """Return the factors, and the growth and degree-days of each in each event's segment."""
    stay = positions(ints(growth, "assignment_id"), ids)
    event = positions(day_key(stay, ints(growth, "day")), event_key)
    here = growth[(event >= 0) & (reals(growth, "growth") > 0)]
    named = here.join(
        stays.set_index("assignment_id")[["site_kind", "site_id", "site_name"]], on="assignment_id"
    )
    groups = named.groupby(by, dropna=False, sort=True)
    columns = groups[["site_name"]].first().reset_index()
    shape = (len(event_key), len(columns))
    grown, warmed = np.zeros(shape), np.zeros(shape)
    at = (event[(event >= 0) & (reals(growth, "growth") > 0)], groups.ngroup().to_numpy())
    np.add.at(grown, at, reals(here, "growth"))
    np.add.at(warmed, at, reals(here, "degree_days"))
    return columns, grown, warmed


def _arrivals(
    handovers: pd.DataFrame, ids: IntArray, event_key: IntArray
) -> tuple[IntArray, IntArray, IntArray, RealArray]:
    """Return source, destination, event of the source and share of the fish, of those known."""
    source = positions(ints(handovers, "source_assignment_id"), ids)
    stay = positions(ints(handovers, "assignment_id"), ids)
    event = positions(day_key(source, ints(handovers, "day")), event_key)
    known = (source >= 0) & (stay >= 0) & (event >= 0)
    return source[known], stay[known], event[known], reals(handovers, "fish_share")[known]


def _generations(source: IntArray, stay: IntArray, stays: int) -> IntArray:
    """Return how many sources stand, at most, between a stay and one that has none."""
    generation = np.zeros(stays, dtype=np.int64)
    for _ in range(stays):
        later = generation.copy()
        np.maximum.at(later, stay, generation[source] + 1)
        if np.array_equal(later, generation):
            break
        generation = later
    return generation


def _or_zero(values: np.ndarray, at: IntArray) -> np.ndarray:
    """Return `values[at]`, and 0 where the position is -1."""
    return np.concatenate([values, np.zeros_like(values, shape=(1, *values.shape[1:]))])[at]


def _running_sum(values: RealArray, group: IntArray) -> RealArray:
    return np.asarray(pd.DataFrame(values).groupby(group).cumsum().to_numpy(), dtype=np.float64)


def _steps(values: RealArray, group: IntArray) -> RealArray:
    """Return what each row of a group has more than the one before it; the first one, all."""
    before = np.zeros_like(values)
    same = group[1:] == group[:-1]
    before[1:][same] = values[:-1][same]
    return values - before
