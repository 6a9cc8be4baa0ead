"""Which batch shows which special cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from anchorline.demo.biology import HARVEST_DAYS, HARVEST_START_DAY


@dataclass(frozen=True)
class Feature:
    """Something special about a batch that has reached an age [days]."""

    name: str
    min_age_days: int
    excludes: frozenset[str] = frozenset()


def _feature(name: str, min_age_days: int, *excludes: str) -> Feature:
    return Feature(name, min_age_days, frozenset(excludes))


FEATURES: Final = (
    # the oldest first: they have the fewest batches to choose from
    _feature("full_harvest", HARVEST_START_DAY + HARVEST_DAYS + 5),
    _feature("partial_harvest", 850),
    _feature("missing_as_mortality", 520, "lineage"),
    _feature("one_day_chain", 475),
    _feature("sensor_gaps", 380),
    _feature("departure_day", 385),
    _feature("returning", 355),
    _feature("selection", 340),
    _feature("vaccination", 285),
    _feature("transfer_missing", 285),
    _feature("split", 285),
    _feature("weights", 260),
    _feature("model_change", 260, "no_scenario"),
    _feature("deaths_recorded_oddly", 185),
    _feature("health_deaths", 185),
    _feature("feed_container", 185),
    _feature("late", 195),
    _feature("merge", 195),
    _feature("over_transfer", 110),
    _feature("no_sensor", 185),
    _feature("two_stockings", 20),
    _feature("only_deaths_when_any", 500),
    _feature("pinned", 400, "no_scenario"),
    _feature("no_scenario", 20, "pinned", "model_change", "lineage"),
)

PAIR_OFFSET_DAYS: Final = 21
"""Most days between the two batches whose fish meet: they are nearly of one size."""

_OLDEST_AGE_DAYS: Final = 1120
_YOUNGEST_AGE_DAYS: Final = 45
_FEW_AGES_DAYS: Final = (885, 885 - PAIR_OFFSET_DAYS, 300)
_PAIR_AGES_DAYS: Final = (600, 900)
"""Ages at which the older batch of a pair is at sea, with time for the fish to meet."""


def batch_ages(batches: int) -> list[int]:
    """Return the age [days] of each batch on the day of the load, oldest first.

    Starts are spread evenly over about three years, so that some batches are finished and
    most are not; a batch that is to meet the one before it starts soon after it.
    """
    if batches <= len(_FEW_AGES_DAYS):
        return list(_FEW_AGES_DAYS[:batches])
    step = (_OLDEST_AGE_DAYS - _YOUNGEST_AGE_DAYS) / (batches - 1)
    ages = [round(_OLDEST_AGE_DAYS - index * step) for index in range(batches)]
    pair = lineage_pair(ages)
    if pair is not None:
        ages[pair[1]] = max(ages[pair[1]], ages[pair[0]] - PAIR_OFFSET_DAYS)
    return ages


def lineage_pair(ages: list[int]) -> tuple[int, int] | None:
    """Return the two neighbours whose fish meet; one batch alone has nobody to meet."""
    youngest, oldest = _PAIR_AGES_DAYS
    for index, age in enumerate(ages[:-1]):
        if youngest <= age <= oldest:
            return index, index + 1
    return None


def assign_features(ages: list[int]) -> list[set[str]]:
    """Give every feature to one batch that is old enough, to the one with the fewest so far."""
    assigned: list[set[str]] = [set() for _ in ages]
    for index in lineage_pair(ages) or ():
        assigned[index].add("lineage")
    for feature in FEATURES:
        candidates = [
            (len(assigned[index] & feature.excludes), len(assigned[index]), index)
            for index, age in enumerate(ages)
            if age >= feature.min_age_days
        ]
        if feature.name == "no_scenario":
            candidates = [entry for entry in candidates if entry[0] == 0]
        if candidates:
            assigned[min(candidates)[2]].add(feature.name)
    return assigned
