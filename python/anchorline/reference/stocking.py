"""How many fish an assignment began with: deliveries, rebuilt counts, inferred transfers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from anchorline.reference.activity import Stays
from anchorline.reference.deaths import Deaths
from anchorline.reference.inputs import Farm, Parameters
from anchorline.reference.scenarios import BatchScenarios, Stages, batch_positions
from anchorline.reference.tables import (
    UNKNOWN,
    BoolArray,
    IntArray,
    RealArray,
    TextArray,
    ints,
    positions,
    reals,
    split_rejected,
    take,
    texts,
    whole_shares,
)


@dataclass(frozen=True)
class Rebuilt:
    """The count on the first day per assignment, and the record that it rests on."""

    count: IntArray
    rebuilt_from: TextArray


@dataclass(frozen=True)
class Inferred:
    """Movements that nobody recorded: one row per source and new assignment.

    `is_newcomer_served` and `is_source` have one entry per assignment.
    """

    source: IntArray
    dest: IntArray
    departed_day: IntArray
    arrived_day: IntArray
    fish_count: IntArray
    is_newcomer_served: BoolArray
    is_source: BoolArray


def check_creations(
    farm: Farm, stays: Stays, parameters: Parameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return completed deliveries as record_id, stay, day, count; and the rejected ones.

    `count = egg_count_actual - mortality_on_arrival`, on the delivery day, at the earliest the
    assignment's first day. A delivery on the departure day or later is rejected, save on the only
    day of an assignment without days, whose fish pass through.
    """
    frame = farm.creation_actions
    frame = frame[texts(frame, "creation_status") == "COMPLETED"].reset_index(drop=True)
    stay = stays.at(ints(frame, "assignment_id"))
    day = ints(frame, "actual_delivery_date")
    eggs, dead = ints(frame, "egg_count_actual"), ints(frame, "mortality_on_arrival")
    dead = np.where(dead == UNKNOWN, 0, dead)
    used, bad = split_rejected(
        frame,
        "batch_creationaction",
        "creation_action_id",
        {
            "assignment is missing or rejected": stay < 0,
            "completed without date": day == UNKNOWN,
            "completed without count": eggs == UNKNOWN,
            "negative count": (eggs != UNKNOWN) & ((eggs < 0) | (dead < 0) | (eggs < dead)),
            "in the future": day > parameters.horizon_day,
            "after the assignment ended": (stay >= 0)
            & (day > np.maximum(take(stays.last_day, stay, 0), take(stays.assignment_day, stay, 0)))
            & (day != UNKNOWN),
        },
    )
    stay = stays.at(ints(used, "assignment_id"))
    dead = ints(used, "mortality_on_arrival")
    return (
        pd.DataFrame(
            {
                "record_id": ints(used, "creation_action_id"),
                "stay": stay,
                "day": np.maximum(
                    ints(used, "actual_delivery_date"), take(stays.assignment_day, stay, 0)
                ),
                "count": ints(used, "egg_count_actual") - np.where(dead == UNKNOWN, 0, dead),
            }
        ),
        bad,
    )


def rebuilt_counts(
    stays: Stays,
    transfers: pd.DataFrame,
    creations: pd.DataFrame,
    harvests: pd.DataFrame,
    deaths: Deaths,
) -> Rebuilt:
    """Return the number of fish on each assignment's first day, rebuilt from later records.

    The first that exists:

    1. `source_population_before` of the first transfer out (by day, then id)
       + deaths recorded before its day - later arrivals before its day;
    2. where it was harvested and is finished: all harvested fish + deaths recorded up to the last
       harvest - later arrivals up to then;
    3. `population_count` + all recorded deaths - later arrivals.

    *Later* is after the first day; deaths are those recorded for the assignment. Never below 0.
    Every record counts, also those after the as-of date: `population_count` is live.
    """
    size = len(stays)
    no_day = np.full(size, UNKNOWN, dtype=np.int64)
    first = transfers.sort_values(["departed_day", "transfer_action_id"]).drop_duplicates("source")
    before, out_day = no_day.copy(), no_day.copy()
    before[ints(first, "source")] = ints(first, "source_population_before")
    out_day[ints(first, "source")] = ints(first, "departed_day")
    before = np.where((before != UNKNOWN) & (before < 0), UNKNOWN, before)

    harvested = np.zeros(size, dtype=np.int64)
    last_harvest = no_day.copy()
    np.add.at(harvested, ints(harvests, "stay"), ints(harvests, "count"))
    np.maximum.at(last_harvest, ints(harvests, "stay"), ints(harvests, "day"))

    by_transfer = before != UNKNOWN
    by_harvest = ~by_transfer & (last_harvest != UNKNOWN) & stays.is_finished
    recorded = ints(stays.frame, "population_count")
    recorded = np.where(recorded < 0, 0, recorded)
    last_counted = np.where(
        by_transfer, out_day - 1, np.where(by_harvest, last_harvest, np.iinfo(np.int64).max)
    )
    base = np.where(by_transfer, before, np.where(by_harvest, harvested, recorded))

    died = np.zeros(size, dtype=np.int64)
    counts = deaths.day <= last_counted[deaths.stay]
    np.add.at(died, deaths.stay[counts], deaths.count[counts])
    arrived = np.zeros(size, dtype=np.int64)
    for stay, day, count in (
        (
            ints(transfers, "dest"),
            ints(transfers, "arrived_day"),
            ints(transfers, "transferred_count"),
        ),
        (ints(creations, "stay"), ints(creations, "day"), ints(creations, "count")),
    ):
        later = (day > stays.assignment_day[stay]) & (day <= last_counted[stay])
        np.add.at(arrived, stay[later], count[later])
    rebuilt_from = np.select(
        [by_transfer, by_harvest], ["transfer_out", "harvest"], "population_count"
    ).astype(object)
    return Rebuilt(np.maximum(base + died - arrived, 0), rebuilt_from)


def infer_transfers(
    stays: Stays,
    rebuilt: Rebuilt,
    transfers: pd.DataFrame,
    creations: pd.DataFrame,
    harvests: pd.DataFrame,
    parameters: Parameters,
) -> Inferred:
    """Find the movements that must have happened though nobody recorded them.

    A newcomer has no delivery and no transfer in on its first day d; a stop without days is one
    only where its count rests on its first transfer out. A source is an assignment of
    the same batch that departs on d or up to `inference_window_days` before, after at least one
    day; it serves the earliest newcomers that it fits. It has left
    `max(0, source_population_before - transferred - accepted mortality - harvested)` (harvested
    from the day of that transfer on), with its rebuilt count where no transfer leaves it or its
    first one has no number before; nothing where that count rests on its harvest, which was all
    that lived.

    Where all sources of a day have left at least `min_inferred_cover` of the newcomers' rebuilt
    counts, each newcomer gets its rebuilt count, or, where it has departed itself and its count
    rests on `population_count` alone, what is left over the number of newcomers (the odd fish to
    the lowest ids). Each number comes from the sources in proportion to what they have left
    (`whole_shares`, ties to the lowest id).
    """
    size = len(stays)
    is_newcomer = np.ones(size, dtype=np.bool_)
    is_newcomer[ints(creations, "stay")] = False
    dest, arrived = ints(transfers, "dest"), ints(transfers, "arrived_day")
    is_newcomer[dest[arrived == stays.assignment_day[dest]]] = False
    is_newcomer &= (stays.departure_day != stays.assignment_day) | (
        rebuilt.rebuilt_from == "transfer_out"
    )

    left = _left_in_sources(stays, rebuilt, transfers, harvests)
    sources = np.flatnonzero(
        (stays.departure_day != UNKNOWN) & (stays.departure_day > stays.assignment_day)
    )
    newcomers = np.flatnonzero(is_newcomer)
    groups = _meet(stays, sources, newcomers, parameters.inference_window_days)

    found: list[tuple[IntArray, IntArray, IntArray]] = []
    served = np.zeros(size, dtype=np.bool_)
    for of_sources, of_newcomers in groups:
        available = left[of_sources]
        total = int(available.sum())
        needed = rebuilt.count[of_newcomers]
        if total <= 0 or total < parameters.min_inferred_cover * int(needed.sum()):
            continue
        number = len(of_newcomers)
        equal = total // number + (np.arange(number) < total % number)
        is_unknown = stays.has_departed[of_newcomers] & (
            rebuilt.rebuilt_from[of_newcomers] == "population_count"
        )
        wanted = np.where(is_unknown, equal, needed)
        pairs = np.repeat(np.arange(number), len(of_sources))
        shares = whole_shares(wanted[pairs], np.tile(available, number), pairs)
        served[of_newcomers] = True
        some = shares > 0
        found.append((np.tile(of_sources, number)[some], of_newcomers[pairs][some], shares[some]))
    empty = np.zeros(0, dtype=np.int64)
    source = np.concatenate([f[0] for f in found]) if found else empty
    to = np.concatenate([f[1] for f in found]) if found else empty
    count = np.concatenate([f[2] for f in found]) if found else empty
    is_source = np.zeros(size, dtype=np.bool_)
    is_source[source] = True
    return Inferred(
        source=source,
        dest=to,
        departed_day=stays.departure_day[source],
        arrived_day=stays.assignment_day[to],
        fish_count=count,
        is_newcomer_served=served,
        is_source=is_source,
    )


def _left_in_sources(
    stays: Stays, rebuilt: Rebuilt, transfers: pd.DataFrame, harvests: pd.DataFrame
) -> IntArray:
    before = rebuilt.count.copy()
    first = transfers.sort_values(["departed_day", "transfer_action_id"]).drop_duplicates("source")
    number = ints(first, "source_population_before")
    before[rebuilt.rebuilt_from == "harvest"] = 0
    known = (number != UNKNOWN) & (number >= 0)
    before[ints(first, "source")[known]] = number[known]
    gone = np.zeros(len(stays), dtype=np.int64)
    np.add.at(gone, ints(transfers, "source"), ints(transfers, "transferred_count"))
    np.add.at(gone, ints(transfers, "source"), ints(transfers, "accepted_mortality"))
    # the number before the first transfer no longer holds what was harvested before it
    counted_day = np.full(len(stays), UNKNOWN, dtype=np.int64)
    counted_day[ints(first, "source")[known]] = ints(first, "departed_day")[known]
    at, day = ints(harvests, "stay"), ints(harvests, "day")
    later = day >= counted_day[at]
    np.add.at(gone, at[later], ints(harvests, "count")[later])
    return np.asarray(np.maximum(before - gone, 0), dtype=np.int64)


def _meet(
    stays: Stays, sources: IntArray, newcomers: IntArray, window_days: int
) -> list[tuple[IntArray, IntArray]]:
    """Return the sources and newcomers of each batch and first day that has both."""
    new = pd.DataFrame(
        {
            "batch": stays.batch_id[newcomers],
            "day": stays.assignment_day[newcomers],
            "stay": newcomers,
        }
    )
    days = new[["batch", "day"]].drop_duplicates()
    old = pd.DataFrame(
        {
            "batch": stays.batch_id[sources],
            "departure": stays.departure_day[sources],
            "source": sources,
        }
    )
    fits = old.merge(days, on="batch")
    fits = fits[
        (fits["day"] >= fits["departure"]) & (fits["day"] <= fits["departure"] + window_days)
    ]
    fits = fits.sort_values(["source", "day"]).drop_duplicates("source")
    by_day = {key: np.sort(ints(rows, "stay")) for key, rows in new.groupby(["batch", "day"])}
    return [
        (np.sort(ints(rows, "source")), by_day[key]) for key, rows in fits.groupby(["batch", "day"])
    ]


def start_weights(
    stays: Stays,
    creations: pd.DataFrame,
    chosen: BatchScenarios,
    least_g: RealArray,
    stages: Stages,
    is_implausible: BoolArray,
    default_g: float,
    weight_range_g: tuple[float, float],
) -> RealArray:
    """Return the weight [g] of fish stocked in each assignment.

    The first that exists: the row's `avg_weight_g` where it is stocked by deliveries or begins
    with its batch; the scenario's smallest weight of the stage; the scenario's initial weight
    where it begins with its batch; the stage's `expected_weight_min_g`; 1 g. A weight that cannot
    be true (0 g, above 50 kg) does not exist.

    Parameters
    ----------
    stays : Stays
        The usable assignments.
    creations : DataFrame
        Usable deliveries; column stay.
    chosen : BatchScenarios
        The scenario of each batch.
    least_g : float64 [batches, stages]
        The scenario's smallest weights [g], NaN where it says nothing.
    stages : Stages
        The life stages.
    is_implausible : bool [n]
        Whether the row's own weight cannot be true.
    default_g : float
        The last resort [g].
    weight_range_g : (float, float)
        Plausible weights [g], the lower limit itself excluded.

    Returns
    -------
    float64 [n]
        Weight of the fish stocked [g].

    """
    low, high = weight_range_g

    def plausible(weight_g: RealArray) -> RealArray:
        return np.where((weight_g > low) & (weight_g <= high), weight_g, np.nan)

    batch = batch_positions(stays, chosen)
    stage = positions(stays.lifecycle_stage_id, stages.lifecycle_stage_id)
    delivered = np.zeros(len(stays), dtype=np.bool_)
    delivered[ints(creations, "stay")] = True
    begins = stays.assignment_day == stays.batch_start_day
    own = np.where(is_implausible, np.nan, reals(stays.frame, "avg_weight_g"))
    weight = np.where(delivered | begins, own, np.nan)
    for other in (
        plausible(least_g[batch, stage]),
        np.where(begins, plausible(chosen.initial_weight_g[batch]), np.nan),
        plausible(stages.expected_weight_min_g[stage]),
    ):
        weight = np.where(np.isnan(weight), other, weight)
    return np.where(np.isnan(weight), default_g, weight)
