"""The farms that mutants are tried on: many random ones side by side in one database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from random import Random
from typing import Any, Final

from devtools.mutants.special_farms import special_farms
from devtools.random_farms import RandomFarm, random_farm, renumbered

AS_OF: Final = date(2024, 3, 10)
"""The last day of the states: the farms' days hold a leap day."""

LATE_AS_OF: Final = date(2052, 3, 10)
"""A last day that lies in the future."""

IDS_PER_FARM: Final = 100_000
"""How far the ids of two farms are apart."""


def random_farms(
    seed: int, first: int, count: int, variables: Mapping[str, Any]
) -> Iterator[RandomFarm]:
    """Draw farms whose ids do not meet, for a setting's vars."""
    for number in range(first, first + count):
        random = Random(f"{seed}/{number}")  # noqa: S311
        yield moved(
            random_farm(random, as_of=_as_of(variables), power_law=_is_power_law(variables)), number
        )


def edge_farms(variables: Mapping[str, Any]) -> Iterator[RandomFarm]:
    """Make the farms at the edges of the rules, with ids of their own."""
    farms = special_farms(_as_of(variables), power_law=_is_power_law(variables))
    for number, farm in enumerate(farms):
        yield moved(farm, number)


def _as_of(variables: Mapping[str, Any]) -> date:
    return date.fromisoformat(variables["as_of_date"])


def _is_power_law(variables: Mapping[str, Any]) -> bool:
    return bool(variables.get("growth_formula") == "power_law")


def moved(farm: RandomFarm, number: int) -> RandomFarm:
    """Give a farm ids of its own, so that it knows nothing of its neighbours."""
    return renumbered(farm, 1, number * IDS_PER_FARM)
