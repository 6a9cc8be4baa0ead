"""Which records the reference must see together, so that a farm can be computed in groups.

Most records are read by their own assignment or batch. What one batch takes from others is

- fish: batches between which a transfer is recorded are computed together;
- feed that names a container, and neither assignment nor batch, on a day on which several batches
  were there: it is shared by their biomass, and they, too, are computed together;
- water: a reading serves all that are in the container within days of it, in each of their groups;
- scenarios, models, profiles: each group has those that its batches follow.

What is in no lineage, because it names nothing that is there, belongs to the first group: there it
is rejected, or found to be in the database only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference.activity import OPEN_END, Stays
from anchorline.reference.inputs import COLUMNS, Farm
from anchorline.reference.tables import UNKNOWN, BoolArray, IntArray, ints, positions, take

FIRST: Final = 0
"""The group that has, beside its lineages, what belongs to none, and all plans."""

STATES_OF_A_GROUP: Final = 75_000
"""How many states, past and to come, are computed at a time; a lineage is never divided."""

READ_WHOLE: Final = (
    "lifecycle_stages",
    "batches",
    "assignments",
    "containers",
    "halls",
    "transfer_workflows",
    "transfer_actions",
    "environmental_parameters",
    "harvest_events",
    "health_sampling_events",
    "scenarios",
    "projection_runs",
    "scenario_model_changes",
    "tgc_models",
    "tgc_model_stages",
    "fcr_model_stages",
    "fcr_model_stage_overrides",
    "temperature_profile_days",
    "mortality_models",
    "mortality_model_stages",
    "stage_constraints",
    "anchor_exclusions",
    "calibrations",
    "calibrated_tgc",
)
"""Views that are held in memory: they say what belongs together, or serve all alike."""

SET_ASIDE: Final = tuple(
    view for view in COLUMNS if view not in READ_WHOLE and view != "environmental_readings"
)
"""Views whose rows grow with the days of a farm. Of the readings, which are most, sums are kept."""

Ids = Callable[[str], IntArray]
"""Returns a column of the rows in question: ids or days, null as UNKNOWN."""

_SPAN: Final = 1 << 22
_EARLIEST: Final = -(1 << 21)


@dataclass(frozen=True)
class Homes:
    """Pairs of a row and a group that needs it."""

    row: IntArray
    group: IntArray

    @classmethod
    def each(cls, group: IntArray) -> Homes:
        """One group per row."""
        return cls(np.arange(len(group)), group)

    def only(self, kept: BoolArray) -> Homes:
        """Return the pairs of some groups; `kept` has an entry per group."""
        chosen = kept[self.group]
        return Homes(self.row[chosen], self.group[chosen])


@dataclass(frozen=True)
class Needs:
    """Which groups need what: `group[start[i]:start[i + 1]]` need thing i."""

    start: IntArray
    group: IntArray

    @classmethod
    def of(cls, thing: IntArray, group: IntArray, things: int) -> Needs:
        """Take pairs of a thing (0, 1, ...) and a group, each any number of times."""
        groups = int(group.max(initial=0)) + 1
        pairs = np.unique(thing * groups + group)
        start = np.searchsorted(pairs, np.arange(things + 1) * groups)
        return cls(start.astype(np.int64), pairs % groups)

    def homes(self, thing: IntArray) -> Homes:
        """Return which groups need rows that are about a thing each; -1 is needed by none."""
        row, nth = _numbered(take(np.diff(self.start), thing, 0))
        return Homes(row, self.group[self.start[thing[row]] + nth])


@dataclass(frozen=True)
class Presence:
    """Which groups are in which container on which days; nobody comes or goes between two cuts."""

    container_id: IntArray
    cuts: IntArray
    needs: Needs

    @classmethod
    def of(
        cls, container_id: IntArray, first: IntArray, last: IntArray, group: IntArray
    ) -> Presence:
        """Take stays of groups in containers, each with its first and last day."""
        known = np.unique(container_id)
        place = positions(container_id, known)
        begins = _place_key(place, first)
        ends = _place_key(place, np.maximum(last, first - 1) + 1)
        cuts = np.unique(np.concatenate([begins, ends]))
        at = np.searchsorted(cuts, begins)
        stay, nth = _numbered(np.searchsorted(cuts, ends) - at)
        return cls(known, cuts, Needs.of(at[stay] + nth, group[stay], len(cuts)))

    def homes(self, container_id: IntArray, day: IntArray) -> Homes:
        """Return the groups that are in containers on days; none on a day that is not known."""
        place = positions(container_id, self.container_id)
        at = np.searchsorted(self.cuts, _place_key(place, day), side="right") - 1
        return self.needs.homes(np.where((place >= 0) & (day != UNKNOWN), at, -1))

    def shared_containers(self) -> IntArray:
        """Return the containers in which several groups have been at once."""
        shared = self.cuts[np.diff(self.needs.start) > 1]
        return self.container_id[np.unique(shared // _SPAN)]


@dataclass(frozen=True)
class Groups:
    """Groups of batches that are computed together, numbered from 0 on.

    `farm` has the views that are read whole, `owners` the group of each row of those that are
    divided. `water` is who needs the readings of a container and day, `feed` who eats there.
    """

    count: int
    farm: Farm
    owners: Mapping[str, IntArray]
    water: Presence
    feed: Presence

    def of(self, view: str, ids: IntArray) -> IntArray:
        """Return the groups of batches, assignments, ... by their ids; the first if unknown."""
        frame = getattr(self.farm, view)
        at = positions(ids, ints(frame, str(frame.columns[0])))
        return take(self.owners[view], at, FIRST)

    def holding(self, batch_ids: Sequence[int]) -> BoolArray:
        """Say of each group whether it has one of some batches."""
        held = np.zeros(self.count, dtype=np.bool_)
        held[self.of("batches", np.array(batch_ids, dtype=np.int64))] = True
        return held

    def homes(self, view: str, column: Ids) -> Homes:
        """Return which groups need rows of a view that is set aside."""
        if view == "projection_days":
            return self._pinned_runs(column("projection_run_id"))
        if view == "planned_activities":
            return Homes.each(self.of("batches", column("batch_id")))
        if view == "harvest_lots":
            return Homes.each(self.of("harvest_events", column("harvest_event_id")))
        if view in ("individual_fish_observations", "treatments"):
            sampling = column("health_sampling_event_id")
            return Homes.each(self.of("health_sampling_events", sampling))
        named = column("assignment_id")
        of_assignment = self.of("assignments", named)
        if view not in ("mortality_events", "mortality_records", "feeding_events"):
            return Homes.each(of_assignment)
        batch = column("batch_id")
        owner = np.where(named != UNKNOWN, of_assignment, self.of("batches", batch))
        if view != "feeding_events":
            return Homes.each(owner)
        alone = np.flatnonzero((named == UNKNOWN) & (batch == UNKNOWN))
        eaten = self.feed.homes(column("container_id")[alone], column("feeding_date")[alone])
        owner[alone[eaten.row]] = eaten.group
        return Homes.each(owner)

    def part(self, number: int) -> dict[str, pd.DataFrame]:
        """Return what a group needs of the views that are read whole; the first has all plans."""
        frames = {view: getattr(self.farm, view) for view in READ_WHOLE}
        for view, group in self.owners.items():
            frames[view] = frames[view][group == number]
        if number != FIRST:
            frames |= _followed(self.farm, frames["batches"])
        return {view: frame.reset_index(drop=True) for view, frame in frames.items()}

    def _pinned_runs(self, run_id: IntArray) -> Homes:
        pinned = ints(self.farm.batches, "pinned_projection_run_id")
        runs = np.unique(pinned[pinned != UNKNOWN])
        at = positions(pinned, runs)
        needs = Needs.of(at[at >= 0], self.owners["batches"][at >= 0], len(runs))
        return needs.homes(positions(run_id, runs))


def find_groups(
    farm: Farm,
    stays: Stays,
    container_feed: Callable[[IntArray], tuple[IntArray, IntArray]],
    *,
    days_around: int,
    days_ahead: int,
    states_of_a_group: int,
) -> Groups:
    """Divide a farm into groups of about as many states; lineages are not divided.

    Parameters
    ----------
    farm : Farm
        The views of `READ_WHOLE`.
    stays : Stays
        The usable assignments of the farm.
    container_feed : function
        Returns container and day of the feed in some containers that names nothing else.
    days_around : int
        How far from a stay its water may be read.
    days_ahead : int
        How many days to come a stay that goes on is taken to have.
    states_of_a_group : int
        What a group is filled up to, lineages that began at about the same time together.

    """
    batch_ids, assignments = ints(farm.batches, "batch_id"), farm.assignments
    batch = positions(ints(assignments, "batch_id"), batch_ids)
    ids, moves = ints(assignments, "assignment_id"), farm.transfer_actions
    source, dest = (
        take(batch, positions(ints(moves, f"{end}_assignment_id"), ids), -1)
        for end in ("source", "dest")
    )
    lineage = tied(len(batch_ids), source, dest)
    batch_of_stay = positions(stays.batch_id, batch_ids)
    first, last = stays.assignment_day, stays.last_day
    there = Presence.of(stays.container_id, first, last, lineage[batch_of_stay])
    shared = there.shared_containers()
    if len(shared):
        eaten = there.homes(*container_feed(shared))
        together = np.flatnonzero(np.diff(eaten.row) == 0)
        lineage = tied(len(batch_ids), eaten.group[together], eaten.group[together + 1])[lineage]

    lengths = np.maximum(stays.last_active_day - first + 1, 0)
    lengths = lengths + np.where(last > stays.last_active_day, days_ahead, 0)
    group = _filled(lineage, lineage[batch_of_stay], first, lengths, states_of_a_group)
    of_stay = group[batch_of_stay]
    of_assignment = take(group, batch, FIRST)
    moved = np.where(source >= 0, source, dest)
    owners = {
        "batches": group,
        "assignments": of_assignment,
        "transfer_actions": take(group, moved, FIRST),
    }
    for view in ("harvest_events", "health_sampling_events"):
        at = positions(ints(getattr(farm, view), "assignment_id"), ids)
        owners[view] = take(of_assignment, at, FIRST)
    return Groups(
        count=int(group.max(initial=FIRST)) + 1,
        farm=farm,
        owners=owners,
        water=Presence.of(
            stays.container_id,
            first - days_around,
            stays.last_active_day + days_around,
            of_stay,
        ),
        feed=Presence.of(stays.container_id, first, last, of_stay),
    )


def tied(size: int, one: IntArray, other: IntArray) -> IntArray:
    """Return the lowest of the things 0, 1, ... that each is tied to, by pairs; -1 ties nothing."""
    lowest = list(range(size))

    def root(thing: int) -> int:
        while lowest[thing] != thing:
            lowest[thing] = lowest[lowest[thing]]
            thing = lowest[thing]
        return thing

    known = (one >= 0) & (other >= 0) & (one != other)
    pairs = np.unique(np.stack([one[known], other[known]], axis=1), axis=0)
    for a, b in pairs.tolist():
        low, high = sorted((root(a), root(b)))
        lowest[high] = low
    return np.array([root(thing) for thing in range(size)], dtype=np.int64)


def _filled(
    lineage: IntArray, of_stay: IntArray, first: IntArray, lengths: IntArray, size: int
) -> IntArray:
    """Return the group of each batch: lineages by their first day, until a group is full."""
    states, begins = np.zeros(len(lineage), dtype=np.int64), np.full(len(lineage), OPEN_END)
    np.add.at(states, of_stay, lengths)
    np.minimum.at(begins, of_stay, first)
    lineages = np.unique(lineage)
    group, held = np.zeros(len(lineage), dtype=np.int64), 0
    number = FIRST
    for at in lineages[np.argsort(begins[lineages], kind="stable")].tolist():
        if held and held + states[at] > size:
            number, held = number + 1, 0
        group[at] = number
        held += int(states[at])
    return group[lineage]


def _followed(farm: Farm, batches: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the scenarios that some batches have or are pinned to, and their models."""

    def among(view: str, column: str, ids: IntArray) -> pd.DataFrame:
        frame: pd.DataFrame = getattr(farm, view)
        return frame.loc[np.isin(ints(frame, column), ids[ids != UNKNOWN])]

    runs = among("projection_runs", "projection_run_id", ints(batches, "pinned_projection_run_id"))
    pins = np.concatenate([ints(runs, "scenario_id"), ints(batches, "pinned_scenario_id")])
    own = among("scenarios", "batch_id", ints(batches, "batch_id"))
    plans = among("scenarios", "scenario_id", np.concatenate([pins, ints(own, "scenario_id")]))
    changes = among("scenario_model_changes", "scenario_id", ints(plans, "scenario_id"))
    tgc, mortality = (
        np.concatenate([ints(plans, model), ints(changes, f"new_{model}")])
        for model in ("tgc_model_id", "mortality_model_id")
    )
    models = among("tgc_models", "tgc_model_id", tgc)
    profiles = ints(models, "temperature_profile_id")
    return {
        "projection_runs": runs,
        "scenarios": plans,
        "scenario_model_changes": changes,
        "tgc_models": models,
        "tgc_model_stages": among("tgc_model_stages", "tgc_model_id", tgc),
        "temperature_profile_days": among(
            "temperature_profile_days", "temperature_profile_id", profiles
        ),
        "mortality_models": among("mortality_models", "mortality_model_id", mortality),
        "mortality_model_stages": among("mortality_model_stages", "mortality_model_id", mortality),
        "stage_constraints": among(
            "stage_constraints", "constraint_set_id", ints(plans, "constraint_set_id")
        ),
    }


def _numbered(count: IntArray) -> tuple[IntArray, IntArray]:
    """Repeat 0, 1, ... as often as each counts; returns them, and the how manieth each is."""
    row = np.repeat(np.arange(len(count)), count)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)


def _place_key(place: IntArray, day: IntArray) -> IntArray:
    """Return a key that sorts by place, then day; days beyond all calendars are the last one."""
    within = np.clip(day - _EARLIEST, 0, _SPAN - 1)
    return np.asarray(place * _SPAN + within, dtype=np.int64)
