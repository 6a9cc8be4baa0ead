"""Fish that come and go: transfers, harvests, stockings, and chains within one day."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference.activity import Stays
from anchorline.reference.anchors import Anchors, implausible, outside_stay
from anchorline.reference.inputs import Farm, Parameters, Seeds
from anchorline.reference.stocking import Inferred, Rebuilt
from anchorline.reference.tables import (
    UNKNOWN,
    BoolArray,
    IntArray,
    RealArray,
    ints,
    positions,
    reals,
    rejected,
    split_rejected,
    take,
    texts,
    whole_shares,
)

OUTSIDE: Final = -1
"""Stands for the world beyond the farm as source or destination of a movement."""


@dataclass(frozen=True)
class Movements:
    """One row per group of fish that arrives at or leaves an assignment.

    `source` and `dest` are positions in `Stays` or `OUTSIDE`. `weight_g` is NaN where the fish
    weigh what their source's last state before `arrived_day` says.
    """

    source: IntArray
    dest: IntArray
    departed_day: IntArray
    arrived_day: IntArray
    fish_count: IntArray
    weight_g: RealArray
    is_inferred: BoolArray


def check_transfers(
    farm: Farm, stays: Stays, parameters: Parameters, seeds: Seeds
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Return the completed transfers that moved fish, and what is rejected.

        A transfer is executed neither before its source or destination began nor more than
    `inference_window_days` after its source departed. Adds to the staging columns: source, dest
    (positions); departed_day (execution, at the latest the source's departure); arrived_day (that
    day, at the earliest the destination's first); measured_g (NaN where not measured or not
    plausible); accepted_mortality (0 where it is negative, or more than the share
    `max_transfer_mortality_share` of `transferred + mortality`).
    """
    frame = farm.transfer_actions
    frame = frame[texts(frame, "transfer_status") == "COMPLETED"].reset_index(drop=True)
    day = ints(frame, "actual_execution_date")
    source_id, dest_id = ints(frame, "source_assignment_id"), ints(frame, "dest_assignment_id")
    source, dest = stays.at(source_id), stays.at(dest_id)
    count = ints(frame, "transferred_count")
    window = parameters.inference_window_days
    departure = take(stays.departure_day, source, UNKNOWN)
    source_end = np.where(departure != UNKNOWN, departure + window, take(stays.last_day, source, 0))
    departed = np.where(departure != UNKNOWN, np.minimum(day, departure), day)
    arrived = np.maximum(departed, take(stays.assignment_day, dest, 0))
    dest_start = take(stays.assignment_day, dest, 0)
    dest_end = take(stays.last_day, dest, 0)
    passes = (take(stays.departure_day, dest, UNKNOWN) == dest_start) & (arrived == dest_start)
    dated = day != UNKNOWN
    used, bad = split_rejected(
        frame,
        "batch_transferaction",
        "transfer_action_id",
        {
            "completed without date": ~dated,
            "source is missing or rejected": source < 0,
            "destination is missing or rejected": dest < 0,
            "into itself": source_id == dest_id,
            "no count": count == UNKNOWN,
            "negative count": (count != UNKNOWN) & (count < 0),
            "in the future": day > parameters.horizon_day,
            "before the source began": dated
            & (source >= 0)
            & (day < take(stays.assignment_day, source, 0)),
            "after the source ended": dated & (source >= 0) & (day > source_end),
            "before the destination began": dated & (dest >= 0) & (day < dest_start),
            "after the destination ended": dated & (dest >= 0) & (arrived > dest_end) & ~passes,
        },
    )
    at = positions(ints(used, "transfer_action_id"), ints(frame, "transfer_action_id"))
    measured = reals(used, "measured_avg_weight_g")
    is_bad = ~np.isnan(measured) & implausible(measured, seeds)
    bad_weight = rejected(
        "batch_transferaction", ints(used, "transfer_action_id")[is_bad], "weight out of range"
    )
    before = ints(used, "source_population_before")
    is_negative = (before < 0) & (before != UNKNOWN)
    raw_mortality = ints(used, "mortality_during_transfer")
    is_negative |= (raw_mortality < 0) & (raw_mortality != UNKNOWN)
    bad_count = rejected(
        "batch_transferaction", ints(used, "transfer_action_id")[is_negative], "negative count"
    )
    mortality = ints(used, "mortality_during_transfer")
    mortality = np.where(mortality == UNKNOWN, 0, mortality)
    all_fish = ints(used, "transferred_count") + np.maximum(mortality, 0)
    lost = mortality > parameters.max_transfer_mortality_share * all_fish
    bad_mortality = rejected(
        "batch_transferaction",
        ints(used, "transfer_action_id")[lost],
        "transfer mortality too high to be deaths",
    )
    used = used.assign(
        source=source[at],
        dest=dest[at],
        departed_day=departed[at],
        arrived_day=arrived[at],
        measured_g=np.where(is_bad, np.nan, measured),
        accepted_mortality=np.where(lost | (mortality < 0), 0, mortality),
    )
    in_cycle = _cycles(used, stays)
    bad_cycle = rejected(
        "batch_transferaction",
        ints(used, "transfer_action_id")[in_cycle],
        "part of a cycle within one day",
    )
    return used[~in_cycle].reset_index(drop=True), [
        bad,
        bad_weight,
        bad_count,
        bad_mortality,
        bad_cycle,
    ]


def _cycles(transfers: pd.DataFrame, stays: Stays) -> BoolArray:
    """Return which transfers close a circle among assignments that begin on that day."""
    source, dest = ints(transfers, "source"), ints(transfers, "dest")
    day = ints(transfers, "departed_day")
    links = (
        (day == stays.assignment_day[source])
        & (ints(transfers, "arrived_day") == day)
        & (day == stays.assignment_day[dest])
    )
    # what nothing enters, or nothing leaves, is in no circle; usually nothing is left of this
    while True:
        core = links & np.isin(source, dest[links]) & np.isin(dest, source[links])
        if np.array_equal(core, links):
            break
        links = core
    next_of: dict[int, set[int]] = defaultdict(set)
    for a, b in zip(source[links].tolist(), dest[links].tolist(), strict=True):
        next_of[a].add(b)

    def reaches(start: int, goal: int) -> bool:
        seen, stack = {start}, [start]
        while stack:
            for node in next_of[stack.pop()]:
                if node == goal:
                    return True
                if node not in seen:
                    seen.add(node)
                    stack.append(node)
        return False

    result = np.zeros(len(transfers), dtype=np.bool_)
    for row in np.flatnonzero(links).tolist():
        result[row] = reaches(int(dest[row]), int(source[row]))
    return result


def check_harvests(
    farm: Farm, stays: Stays, parameters: Parameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return usable harvest lots as record_id, stay, day, count; and the rejected ones."""
    frame = farm.harvest_lots
    at = positions(ints(frame, "harvest_event_id"), ints(farm.harvest_events, "harvest_event_id"))
    stay = stays.at(take(ints(farm.harvest_events, "assignment_id"), at, UNKNOWN))
    day = take(ints(farm.harvest_events, "harvest_date"), at, UNKNOWN)
    count = ints(frame, "unit_count")
    used, bad = split_rejected(
        frame,
        "harvest_harvestlot",
        "harvest_lot_id",
        {
            "harvest is missing": at < 0,
            **outside_stay(stays, stay, day, parameters),
            "no count": count == UNKNOWN,
            "negative count": (count != UNKNOWN) & (count < 0),
        },
    )
    kept = positions(ints(used, "harvest_lot_id"), ints(frame, "harvest_lot_id"))
    table = pd.DataFrame(
        {
            "record_id": ints(used, "harvest_lot_id"),
            "stay": stay[kept],
            "day": day[kept],
            "count": count[kept],
        }
    )
    return table, bad


_DRAWS: Final = {5: 0, 2: 1, 3: 2}
"""Which kinds of legs draw first on what has arrived: harvest, transfer, transfer mortality."""


@dataclass
class _Leg:
    """A movement while chains are composed; `order` settles ties among those from one source."""

    source: int
    dest: int
    departed_day: int
    arrived_day: int
    fish_count: int
    weight_g: float
    is_inferred: bool
    order: tuple[int, int]
    passed_on: int = field(default=0)


def movements(
    stays: Stays,
    transfers: pd.DataFrame,
    creations: pd.DataFrame,
    harvests: pd.DataFrame,
    rebuilt: Rebuilt,
    inferred: Inferred,
    anchors: Anchors,
    start_weight_g: RealArray,
    as_of_day: int,
) -> tuple[Movements, pd.DataFrame]:
    """Return all movements, one-day chains composed, and transfer mortality that is rejected.

    Those that have arrived by the last day, of one fish and more: an arrival after it is not known
    yet, and none leave or are under way where none were moved.

    The weight of a movement, before the day's growth, is the first that exists: the transfer's
    measured one; the source's anchor on the day on which the fish left; (NaN) the source's last
    state before that day. Stocked fish have the assignment's start weight. Mortality of a
    transfer whose source also lost fish unrecorded is rejected: it may be those fish.
    """
    on_inferred = inferred.is_source[ints(transfers, "source")]
    mortality = ints(transfers, "accepted_mortality")
    not_believed = on_inferred & (mortality > 0)
    bad = rejected(
        "batch_transferaction",
        ints(transfers, "transfer_action_id")[not_believed],
        "transfer mortality of a source whose fish went elsewhere unrecorded",
    )
    died = transfers[(mortality > 0) & ~on_inferred]

    delivered = np.zeros(len(stays), dtype=np.bool_)
    delivered[ints(creations, "stay")] = True
    has_transfer_in = np.zeros(len(stays), dtype=np.bool_)
    dest, arrived = ints(transfers, "dest"), ints(transfers, "arrived_day")
    has_transfer_in[dest[arrived == stays.assignment_day[dest]]] = True
    stocked = np.flatnonzero(~delivered & ~has_transfer_in & ~inferred.is_newcomer_served)

    def of(
        kind: int,
        source: IntArray,
        to: IntArray,
        departed_day: IntArray,
        arrived_day: IntArray,
        count: IntArray,
        weight_g: RealArray,
        record_id: IntArray,
        *,
        is_inferred: bool = False,
    ) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "kind": np.full(len(to), kind),
                "source": source,
                "dest": to,
                "departed_day": departed_day,
                "arrived_day": arrived_day,
                "fish_count": count,
                "weight_g": weight_g,
                "is_inferred": np.full(len(to), is_inferred),
                "record_id": record_id,
            }
        )

    def nowhere(rows: pd.DataFrame | IntArray) -> IntArray:
        return np.full(len(rows), OUTSIDE, dtype=np.int64)

    def unweighed(rows: pd.DataFrame | IntArray) -> RealArray:
        return np.full(len(rows), np.nan)

    at_delivery, delivery_day = ints(creations, "stay"), ints(creations, "day")
    first_day = stays.assignment_day[stocked]
    at_harvest, harvest_day = ints(harvests, "stay"), ints(harvests, "day")
    legs = pd.concat(
        [
            of(
                0,
                nowhere(creations),
                at_delivery,
                delivery_day,
                delivery_day,
                ints(creations, "count"),
                start_weight_g[at_delivery],
                ints(creations, "record_id"),
            ),
            of(
                1,
                nowhere(stocked),
                stocked,
                first_day,
                first_day,
                rebuilt.count[stocked],
                start_weight_g[stocked],
                stays.assignment_id[stocked],
            ),
            of(
                2,
                ints(transfers, "source"),
                ints(transfers, "dest"),
                ints(transfers, "departed_day"),
                ints(transfers, "arrived_day"),
                ints(transfers, "transferred_count"),
                reals(transfers, "measured_g"),
                ints(transfers, "transfer_action_id"),
            ),
            of(
                3,
                ints(died, "source"),
                nowhere(died),
                ints(died, "departed_day"),
                ints(died, "departed_day"),
                ints(died, "accepted_mortality"),
                unweighed(died),
                ints(died, "transfer_action_id"),
            ),
            of(
                4,
                inferred.source,
                inferred.dest,
                inferred.departed_day,
                inferred.arrived_day,
                inferred.fish_count,
                unweighed(inferred.source),
                stays.assignment_id[inferred.source],
                is_inferred=True,
            ),
            of(
                5,
                at_harvest,
                nowhere(harvests),
                harvest_day,
                harvest_day,
                ints(harvests, "count"),
                unweighed(harvests),
                ints(harvests, "record_id"),
            ),
        ],
        ignore_index=True,
    )
    is_known = ints(legs, "arrived_day") <= as_of_day
    legs = legs[is_known & (ints(legs, "fish_count") > 0)].reset_index(drop=True)
    anchor = anchors.at(ints(legs, "source"), ints(legs, "departed_day"))
    weight = reals(legs, "weight_g")
    legs["weight_g"] = np.where(np.isnan(weight), take(anchors.weight_g, anchor, np.nan), weight)
    return _compose_chains(legs, stays, start_weight_g), bad


def _compose_chains(legs: pd.DataFrame, stays: Stays, start_weight_g: RealArray) -> Movements:
    """Let what leaves an assignment on its first day leave from where it came.

    The legs out draw one after the other, by their kind and record. Where the legs i that arrived
    on that day have c_i fish left, a leg out of n fish takes `n c_i / sum c` from each, in whole
    fish (largest remainder; ties to the lowest source id, from outside last); where nothing is
    left, in proportion to what arrived. What has passed on is missing from the legs that brought
    it. A fish weighs what was measured last on its way.
    """
    source, day = ints(legs, "source"), ints(legs, "departed_day")
    first_day = take(stays.assignment_day, source, UNKNOWN)
    passes_on = (source != OUTSIDE) & (day == first_day)
    through = np.unique(source[passes_on])
    dest = ints(legs, "dest")
    brings = np.isin(dest, through) & (
        ints(legs, "arrived_day") == take(stays.assignment_day, dest, UNKNOWN)
    )
    touched = passes_on | brings
    plain = legs[~touched]

    incoming: dict[int, list[_Leg]] = defaultdict(list)
    outgoing: dict[int, list[_Leg]] = defaultdict(list)
    finished: list[_Leg] = []
    for row in legs[touched].itertuples(index=False):
        leg = _Leg(
            row.source,
            row.dest,
            row.departed_day,
            row.arrived_day,
            row.fish_count,
            row.weight_g,
            bool(row.is_inferred),
            (row.kind, row.record_id),
        )
        if leg.source != OUTSIDE and leg.departed_day == int(stays.assignment_day[leg.source]):
            outgoing[leg.source].append(leg)
        else:
            finished.append(leg)
            incoming[leg.dest].append(leg)

    waiting = dict.fromkeys(outgoing, 0)
    for out in outgoing.values():
        for leg in out:
            if leg.dest in waiting and _on_first_day(leg, stays):
                waiting[leg.dest] += 1
    ready = sorted(place for place, count in waiting.items() if count == 0)
    while ready:
        place = ready.pop(0)
        came = [leg for leg in incoming[place] if _on_first_day(leg, stays)]
        came.sort(
            key=lambda leg: (
                leg.source == OUTSIDE,
                int(stays.assignment_id[leg.source]) if leg.source != OUTSIDE else 0,
                leg.order,
            )
        )
        for leg in sorted(outgoing[place], key=lambda leg: (_DRAWS[leg.order[0]], leg.order)):
            composed = _compose(leg, came, float(start_weight_g[place]))
            finished += composed
            incoming[leg.dest] += composed
            if leg.dest in waiting and _on_first_day(leg, stays):
                waiting[leg.dest] -= 1
                if waiting[leg.dest] == 0:
                    ready.append(leg.dest)
    for leg in finished:
        leg.fish_count = max(0, leg.fish_count - leg.passed_on)
    kept = [leg for leg in finished if leg.passed_on == 0 or leg.fish_count > 0]

    def column(name: str, dtype: type) -> np.ndarray:
        chained: np.ndarray = np.array([getattr(leg, name) for leg in kept], dtype=dtype)
        return np.concatenate([np.asarray(plain[name].to_numpy(), dtype=dtype), chained])

    return Movements(
        source=column("source", np.int64),
        dest=column("dest", np.int64),
        departed_day=column("departed_day", np.int64),
        arrived_day=column("arrived_day", np.int64),
        fish_count=column("fish_count", np.int64),
        weight_g=column("weight_g", np.float64),
        is_inferred=column("is_inferred", np.bool_),
    )


def _on_first_day(leg: _Leg, stays: Stays) -> bool:
    return leg.dest != OUTSIDE and leg.arrived_day == int(stays.assignment_day[leg.dest])


def _compose(leg: _Leg, came: list[_Leg], start_weight_g: float) -> list[_Leg]:
    """Return the movements that a leg out becomes, and book them on the legs in."""
    arrived = np.array([other.fish_count for other in came], dtype=np.int64)
    left = np.array([max(0, other.fish_count - other.passed_on) for other in came], dtype=np.int64)
    if int(arrived.sum()) == 0:
        weight = start_weight_g if np.isnan(leg.weight_g) else leg.weight_g
        return [replace(leg, source=OUTSIDE, weight_g=weight)]
    totals = np.full(len(came), leg.fish_count, dtype=np.int64)
    basis = left if int(left.sum()) > 0 else arrived
    shares = whole_shares(totals, basis, np.zeros(len(came), dtype=np.int64))
    composed = []
    for other, share in zip(came, shares.tolist(), strict=True):
        if share == 0:
            continue
        other.passed_on += share
        composed.append(
            replace(
                leg,
                source=other.source,
                departed_day=other.departed_day,
                fish_count=share,
                weight_g=other.weight_g if np.isnan(leg.weight_g) else leg.weight_g,
                is_inferred=leg.is_inferred or other.is_inferred,
            )
        )
    return composed
