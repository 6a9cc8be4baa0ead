"""Measured mean weights: which can be true, what they say of the fish, one per day."""

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
    day_key,
    first_reason,
    ints,
    positions,
    reals,
    rejected,
    split_rejected,
    take,
    texts,
)

TYPES: Final = ("growth_sample", "transfer", "vaccination", "manual", "health_sampling")

ASKED_FOR_BY: Final = {
    "growth_sample": "SAMPLING",
    "vaccination": "VACCINATION",
    "health_sampling": "SAMPLING",
}
"""The type of the activity that a measurement completes, of those that name none themselves."""


@dataclass(frozen=True)
class Anchors:
    """One row per assignment and day with an anchor, sorted by both."""

    stay: IntArray
    day: IntArray
    weight_g: RealArray
    anchor_type: TextArray
    confidence: RealArray
    planned_activity_id: IntArray

    def at(self, stay: IntArray, day: IntArray) -> IntArray:
        """Return the anchor of an assignment and day, -1 where there is none."""
        found = positions(day_key(stay, day), day_key(self.stay, self.day))
        return np.where((stay >= 0) & (day != UNKNOWN), found, -1).astype(np.int64)


def outside_stay(
    stays: Stays, stay: IntArray, day: IntArray, parameters: Parameters
) -> dict[str, BoolArray]:
    """Say why a record of an assignment and day cannot be true; the departure day still belongs."""
    return {
        "assignment is missing or rejected": stay < 0,
        "no date": day == UNKNOWN,
        "in the future": day > parameters.horizon_day,
        "before the assignment began": stays.begins_after(stay, day),
        "after the assignment ended": stays.ended_before(stay, day),
    }


def implausible(weight_g: RealArray, seeds: Seeds) -> BoolArray:
    """Return whether a weight cannot be true: not above 0 g, above 50 kg, or null."""
    low, high = seeds.plausible("weight")
    return ~((weight_g > low) & (weight_g <= high))


def weight_of_staying(
    moved_g: RealArray,
    moved_count: IntArray,
    count_before: IntArray,
    factor: RealArray,
    min_staying_share: float,
) -> RealArray:
    """Return what the fish weigh that stay when the largest or smallest have left.

    With w the weight of the n fish that moved, the mean of all N fish before is `M = factor * w`,
    and mass is conserved: `(N M - n w) / (N - n)`. Where fewer than a fifth stay, or N is not
    known or not above n, M. A factor of 1 (AVERAGE) gives w exactly.

    Parameters
    ----------
    moved_g : float64 [n]
        Mean weight of the fish that moved [g], above 0.
    moved_count : int64 [n]
        Fish that moved.
    count_before : int64 [n]
        Fish before the move; may be `UNKNOWN`.
    factor : float64 [n]
        Mean weight of all over mean weight of those that moved: 0.88, 1 or 1.12 [-].
    min_staying_share : float
        Share of the fish before, 0.2 [-].

    Returns
    -------
    float64 [n]
        Mean weight of the fish that stay [g].

    """
    before = count_before.astype(np.float64)
    moved = moved_count.astype(np.float64)
    mean_g = moved_g * factor
    staying = before - moved
    known = (count_before != UNKNOWN) & (staying > 0)
    enough = known & (staying / np.where(known, before, 1) >= min_staying_share)
    derived = (before * mean_g - moved * moved_g) / np.where(enough, staying, 1)
    return np.where(factor == 1, moved_g, np.where(enough, derived, mean_g))


def measurements(
    farm: Farm, transfers: pd.DataFrame, stays: Stays, parameters: Parameters, seeds: Seeds
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Return every usable measurement of a mean weight, and what is rejected.

    One row per measurement up to the as-of date: anchor_type, record_id, stay, day, weight_g,
    sample_size (at least 1), std_deviation_weight_g (NaN where not recorded),
    planned_activity_id, anchor_status (`used`; `superseded` by a kind with a better precedence
    on its day; `excluded`; `not_an_anchor`). `transfers` are the usable ones (`movements`).
    """
    parts, bad = [], []
    for table, reject_list in (
        _growth_samples(farm, stays, parameters, seeds),
        _transfer_weighings(farm, transfers, seeds),
        *_health_weighings(farm, stays, parameters, seeds),
        _manual_anchors(farm, stays, parameters, seeds),
    ):
        parts.append(table)
        bad += reject_list
    rows = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    rows = rows[rows["day"] <= parameters.as_of_day].reset_index(drop=True)
    return rows.assign(
        anchor_status=_status(rows, farm, parameters, seeds),
        planned_activity_id=_activities(rows, farm, stays, parameters, seeds),
    ), bad


def _activities(
    rows: pd.DataFrame, farm: Farm, stays: Stays, parameters: Parameters, seeds: Seeds
) -> IntArray:
    """Return the activity that asked for each measurement: its own, else one completed nearby.

    Of the same batch, for all of it or for the measured container, completed at most
    `measurement_window_days` away and not after the as-of date. Of several the nearest, then the
    container's, then the lowest id.
    """
    planned = farm.planned_activities
    completed = ints(planned, "completed_date")
    is_done = texts(planned, "activity_status") == "COMPLETED"
    is_done &= (completed != UNKNOWN) & (completed <= parameters.as_of_day)
    stay = ints(rows, "stay")
    asking = pd.DataFrame(
        {
            "row": np.arange(len(rows)),
            "day": ints(rows, "day"),
            "batch_id": stays.batch_id[stay],
            "measured_container_id": stays.container_id[stay],
            "activity_type": rows["anchor_type"].map(ASKED_FOR_BY),
        }
    ).dropna(subset="activity_type")
    pairs = asking.merge(planned[is_done], on=["batch_id", "activity_type"])
    is_of_batch = ints(pairs, "container_id") == UNKNOWN
    pairs = pairs.assign(
        is_of_batch=is_of_batch,
        days_apart=np.abs(ints(pairs, "day") - ints(pairs, "completed_date")),
    )
    pairs = pairs[
        (is_of_batch | (ints(pairs, "container_id") == ints(pairs, "measured_container_id")))
        & (pairs["days_apart"] <= seeds.planning("measurement_window_days"))
    ].sort_values(["row", "days_apart", "is_of_batch", "planned_activity_id"])
    nearest = pairs.drop_duplicates("row")
    own = ints(rows, "planned_activity_id").copy()
    at = ints(nearest, "row")
    own[at] = np.where(own[at] == UNKNOWN, ints(nearest, "planned_activity_id"), own[at])
    return own


def _status(rows: pd.DataFrame, farm: Farm, parameters: Parameters, seeds: Seeds) -> TextArray:
    """Say of each measurement whether it anchors the state, and if not, why not."""
    listed = {
        (str(kind), int(record))
        for kind, record in zip(
            texts(farm.anchor_exclusions, "anchor_type"),
            ints(farm.anchor_exclusions, "record_id"),
            strict=True,
        )
    }
    kinds = texts(rows, "anchor_type")
    excluded = np.array(
        [pair in listed for pair in zip(kinds, rows["record_id"], strict=True)], dtype=np.bool_
    )
    is_check = (kinds == "health_sampling") & (not parameters.health_samplings_are_anchors)
    precedence = seeds.anchor_types.set_index("anchor_type")["precedence"]
    rank = rows["anchor_type"].map(precedence).to_numpy(dtype=np.int64)
    rank = np.where(excluded | is_check, np.iinfo(np.int64).max, rank)
    best = pd.Series(rank).groupby([ints(rows, "stay"), ints(rows, "day")]).transform("min")
    status = np.where(rank == best.to_numpy(), "used", "superseded").astype(object)
    status[is_check] = "not_an_anchor"
    status[excluded] = "excluded"
    return status


def used_transfer_weights(transfers: pd.DataFrame, exclusions: pd.DataFrame) -> RealArray:
    """Return the measured weight [g] of each transfer's fish, NaN where it is excluded.

    An exclusion takes the measurement from both sides: from the source, and from the fish that
    moved.
    """
    listed = ints(exclusions, "record_id")[texts(exclusions, "anchor_type") == "transfer"]
    excluded = np.isin(ints(transfers, "transfer_action_id"), listed)
    return np.where(excluded, np.nan, reals(transfers, "measured_g"))


def daily_anchors(rows: pd.DataFrame, seeds: Seeds) -> Anchors:
    """Return one anchor per assignment and day: the kind with the best precedence wins.

    Several measurements of that kind are averaged by sample size, `sum(n w) / sum(n)`; a single
    one is taken as it is.
    """
    rows = rows[rows["anchor_status"] == "used"]
    rows = rows.sort_values(["stay", "day", "record_id"], kind="stable")
    size = ints(rows, "sample_size").astype(np.float64)
    rows = rows.assign(size=size, mass=size * reals(rows, "weight_g"))
    rows["activity"] = rows["planned_activity_id"].where(
        rows["planned_activity_id"] != UNKNOWN, np.iinfo(np.int64).max
    )
    days = rows.groupby(["stay", "day"], as_index=False).agg(
        mass=("mass", "sum"),
        size=("size", "sum"),
        single=("weight_g", "first"),
        count=("weight_g", "size"),
        anchor_type=("anchor_type", "first"),
        activity=("activity", "min"),
    )
    kinds = days["anchor_type"].to_numpy(dtype=object)
    activity = ints(days, "activity")
    confidence = seeds.anchor_types.set_index("anchor_type")["weight_confidence"]
    return Anchors(
        stay=ints(days, "stay"),
        day=ints(days, "day"),
        weight_g=np.where(
            ints(days, "count") == 1,
            reals(days, "single"),
            reals(days, "mass") / reals(days, "size"),
        ),
        anchor_type=kinds,
        confidence=confidence.loc[kinds].to_numpy(dtype=np.float64),
        planned_activity_id=np.where(activity == np.iinfo(np.int64).max, UNKNOWN, activity),
    )


def _rows(
    anchor_type: str,
    record_id: IntArray,
    stay: IntArray,
    day: IntArray,
    weight_g: RealArray,
    sample_size: IntArray,
    std_deviation_weight_g: RealArray,
    planned_activity_id: IntArray | None = None,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "anchor_type": np.full(len(record_id), anchor_type, dtype=object),
            "record_id": record_id,
            "stay": stay,
            "day": day,
            "weight_g": weight_g,
            "sample_size": np.maximum(sample_size, 1),
            "std_deviation_weight_g": std_deviation_weight_g,
            "planned_activity_id": (
                np.full(len(record_id), UNKNOWN)
                if planned_activity_id is None
                else planned_activity_id
            ),
        }
    )


def _growth_samples(
    farm: Farm, stays: Stays, parameters: Parameters, seeds: Seeds
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    frame = farm.growth_samples
    stay = stays.at(ints(frame, "assignment_id"))
    used, bad = split_rejected(
        frame,
        "batch_growthsample",
        "growth_sample_id",
        outside_stay(stays, stay, ints(frame, "sample_date"), parameters)
        | {"weight out of range": implausible(reals(frame, "avg_weight_g"), seeds)},
    )
    return _rows(
        "growth_sample",
        ints(used, "growth_sample_id"),
        stays.at(ints(used, "assignment_id")),
        ints(used, "sample_date"),
        reals(used, "avg_weight_g"),
        ints(used, "sample_size"),
        reals(used, "std_deviation_weight_g"),
    ), [bad]


def _transfer_weighings(
    farm: Farm, transfers: pd.DataFrame, seeds: Seeds
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Weigh the fish that stay at a transfer's source; day: the one on which the fish left."""
    factors = {
        str(method): float(factor)
        for method, factor in zip(
            seeds.selection_factors["selection_method"],
            seeds.selection_factors["mean_weight_factor"],
            strict=True,
        )
    }
    weighed = transfers[~np.isnan(reals(transfers, "measured_g"))]
    methods = ["AVERAGE" if m is None else m for m in texts(weighed, "selection_method")]
    known = np.array([method in factors for method in methods], dtype=np.bool_)
    bad = rejected(
        "batch_transferaction",
        ints(weighed, "transfer_action_id")[~known],
        "unknown selection method",
    )
    factor = np.array([factors.get(method, np.nan) for method in methods], dtype=np.float64)[known]
    weighed = weighed[known]
    workflow = positions(
        ints(weighed, "transfer_workflow_id"),
        ints(farm.transfer_workflows, "transfer_workflow_id"),
    )
    return _rows(
        "transfer",
        ints(weighed, "transfer_action_id"),
        ints(weighed, "source"),
        ints(weighed, "departed_day"),
        weight_of_staying(
            reals(weighed, "measured_g"),
            ints(weighed, "transferred_count"),
            ints(weighed, "source_population_before"),
            factor,
            seeds.constant("min_staying_share"),
        ),
        ints(weighed, "measured_sample_size"),
        reals(weighed, "measured_std_dev_weight_g"),
        take(ints(farm.transfer_workflows, "planned_activity_id"), workflow, UNKNOWN),
    ), [bad]


def _health_weighings(
    farm: Farm, stays: Stays, parameters: Parameters, seeds: Seeds
) -> list[tuple[pd.DataFrame, list[pd.DataFrame]]]:
    """Return vaccinations with weighing, then the other health samplings."""
    samplings = farm.health_sampling_events
    sampling_id = ints(samplings, "health_sampling_event_id")
    stay = stays.at(ints(samplings, "assignment_id"))
    day = ints(samplings, "sampling_date")

    fish = farm.individual_fish_observations
    weight = reals(fish, "weight_g")
    is_weighed = ~np.isnan(weight)
    out_of_range = is_weighed & implausible(weight, seeds)
    bad_fish = rejected(
        "health_individualfishobservation",
        ints(fish, "individual_fish_observation_id")[out_of_range],
        "weight out of range",
    )
    of = positions(ints(fish, "health_sampling_event_id"), sampling_id)
    counted = is_weighed & ~out_of_range & (of >= 0)
    count = np.bincount(of[counted], minlength=len(samplings))
    mass = np.bincount(of[counted], weights=weight[counted], minlength=len(samplings))
    recorded_g = reals(samplings, "avg_weight_g")
    bad_mean = (count == 0) & ~np.isnan(recorded_g) & implausible(recorded_g, seeds)
    weight_g = np.where(count > 0, mass / np.maximum(count, 1), recorded_g)
    size = np.where(count > 0, count, ints(samplings, "fish_sampled_count"))
    spread = _sample_deviation(weight[counted], of[counted], len(samplings))
    spread_g = np.where(count > 0, spread, reals(samplings, "std_dev_weight_g"))
    sampling_reason = first_reason(
        len(samplings),
        outside_stay(stays, stay, day, parameters) | {"weight out of range": bad_mean},
    )
    is_bad = np.array([reason is not None for reason in sampling_reason], dtype=np.bool_)
    has_weight = ~np.isnan(weight_g)
    bad_samplings = rejected(
        "health_healthsamplingevent",
        sampling_id[is_bad & has_weight],
        sampling_reason[is_bad & has_weight],
    )

    treatments = farm.treatments
    weighing = np.array([flag is True for flag in texts(treatments, "includes_weighing")], bool)
    treatments = treatments[weighing & (ints(treatments, "health_sampling_event_id") != UNKNOWN)]
    at = positions(ints(treatments, "health_sampling_event_id"), sampling_id)
    sampled_stay = take(stay, at, -1)
    treated_batch, treated_day = ints(treatments, "batch_id"), ints(treatments, "treatment_date")
    gap = np.where(treated_day == UNKNOWN, 0, np.abs(treated_day - take(day, at, 0)))
    sampling_is_bad = take(is_bad, at, False)
    used, bad_treatments = split_rejected(
        treatments,
        "health_treatment",
        "treatment_id",
        {
            "linked sampling is missing": at < 0,
            "linked sampling is rejected": sampling_is_bad,
            "no weight": (at >= 0) & ~take(has_weight, at, False),
            "linked sampling belongs to another batch": (sampled_stay >= 0)
            & (treated_batch != UNKNOWN)
            & (take(stays.batch_id, sampled_stay, UNKNOWN) != treated_batch),
            "linked sampling lies too many days away": (at >= 0)
            & (gap > seeds.plausible("vaccination_sampling_gap")[1]),
        },
    )
    at = positions(ints(used, "health_sampling_event_id"), sampling_id)
    claimed = np.zeros(len(samplings), dtype=np.bool_)
    claimed[at] = True
    treatment_id = ints(used, "treatment_id")
    others = np.flatnonzero(~claimed & ~is_bad & has_weight)
    return [
        (
            _rows(
                "vaccination", treatment_id, stay[at], day[at], weight_g[at], size[at], spread_g[at]
            ),
            [bad_fish, bad_samplings, bad_treatments],
        ),
        (
            _rows(
                "health_sampling",
                sampling_id[others],
                stay[others],
                day[others],
                weight_g[others],
                size[others],
                spread_g[others],
            ),
            [],
        ),
    ]


def _sample_deviation(values: RealArray, group: IntArray, size: int) -> RealArray:
    """Return each group's sample standard deviation, NaN where it has fewer than two values."""
    count = np.bincount(group, minlength=size)
    mean = np.bincount(group, weights=values, minlength=size) / np.maximum(count, 1)
    squares = np.bincount(group, weights=(values - mean[group]) ** 2, minlength=size)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def _manual_anchors(
    farm: Farm, stays: Stays, parameters: Parameters, seeds: Seeds
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    frame = farm.manual_anchors
    stay = stays.at(ints(frame, "assignment_id"))
    used, bad = split_rejected(
        frame,
        "anchorline_ops.manual_anchors",
        "manual_anchor_id",
        outside_stay(stays, stay, ints(frame, "anchor_date"), parameters)
        | {"weight out of range": implausible(reals(frame, "weight_g"), seeds)},
    )
    return _rows(
        "manual",
        ints(used, "manual_anchor_id"),
        stays.at(ints(used, "assignment_id")),
        ints(used, "anchor_date"),
        reals(used, "weight_g"),
        np.ones(len(used), dtype=np.int64),
        np.full(len(used), np.nan),
    ), [bad]
