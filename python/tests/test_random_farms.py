"""Small random farms: the compiled models and the reference say the same, to the fish.

Farms are drawn for themselves and computed some at a time, side by side in one database.
`pytest --farms 5000` draws as many instead of the few of every run, and other ones each time;
`--hypothesis-seed` repeats such a run. A farm that fails is made smaller and printed as Python:
give it a name in `test_regression_farms.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtools.farm_comparison import SETTINGS, FarmBench
from devtools.random_farms import RandomFarm

SIDE_BY_SIDE = 36
"""How many farms the models and the reference compute at once."""
SEEDED_FARMS = 102
"""How many farms are drawn from the seeds 0, 1, ..., under one setting after the other."""
SEEDED_BY_LINEAGE = 6
"""How many of them the reference also computes lineage by lineage."""
FEATURES = {
    "activity of a growth_sample",
    "activity of a health_sampling",
    "activity of a vaccination",
    "anchor growth_sample excluded",
    "anchor growth_sample used",
    "anchor health_sampling excluded",
    "anchor health_sampling not_an_anchor",
    "anchor health_sampling superseded",
    "anchor health_sampling used",
    "anchor manual excluded",
    "anchor manual superseded",
    "anchor manual used",
    "anchor transfer excluded",
    "anchor transfer superseded",
    "anchor transfer used",
    "anchor vaccination excluded",
    "anchor vaccination superseded",
    "anchor vaccination used",
    "arrival inferred",
    "chain within a day",
    "empty container",
    "feed actual",
    "feed conversion calculated",
    "feed conversion insufficient_data",
    "feed none",
    "fish in transit",
    "forecast NEEDS_PLANNING",
    "forecast PLANNED",
    "forecast PROJECTED",
    "forecast of a transfer",
    "forecast that never reaches harvest",
    "forecast that reaches harvest",
    "forecast with calibrated growth at a site",
    "forecast with other temperatures than the profile",
    "leap day",
    "lineage of several batches",
    "mortality actual",
    "mortality inferred_zero",
    "mortality model",
    "mortality prorated",
    "movement between batches",
    "movement harvest",
    "movement inferred",
    "movement stocking",
    "movement transfer",
    "movement transfer_mortality",
    "numbers that do not add up",
    "plan computed",
    "plan stored_run",
    "plan that goes on from its stored days",
    "plan that is not in force",
    "planned activity",
    "provisional state",
    "rebuilt from harvest",
    "rebuilt from population_count",
    "rebuilt from transfer_out",
    "rejected: TGC model is missing",
    "rejected: TGC out of range",
    "rejected: after the assignment ended",
    "rejected: after the destination ended",
    "rejected: after the source ended",
    "rejected: assignment is missing or rejected",
    "rejected: batch is missing",
    "rejected: before the assignment began",
    "rejected: before the destination began",
    "rejected: before the source began",
    "rejected: completed without date",
    "rejected: container is missing",
    "rejected: date out of range",
    "rejected: departure before assignment",
    "rejected: destination is missing or rejected",
    "rejected: harvest event is missing",
    "rejected: in the future",
    "rejected: into itself",
    "rejected: lifecycle stage is missing",
    "rejected: linked sampling belongs to another batch",
    "rejected: linked sampling is missing",
    "rejected: linked sampling lies too many days away",
    "rejected: more dead on arrival than delivered",
    "rejected: mortality model is missing",
    "rejected: negative count",
    "rejected: negative feed",
    "rejected: no amount",
    "rejected: no assignment is active in the container",
    "rejected: no count",
    "rejected: no date",
    "rejected: no weight",
    "rejected: on the departure day, which has no state",
    "rejected: overlaps an earlier assignment of the batch to the container",
    "rejected: part of a cycle within one day",
    "rejected: pinned projection run is missing or its scenario is rejected",
    "rejected: pinned scenario is missing or rejected",
    "rejected: source is missing or rejected",
    "rejected: temperature out of range",
    "rejected: the batch ended before the assignment",
    "rejected: the batch has no fish on that day",
    "rejected: transfer mortality of a source whose fish went elsewhere unrecorded",
    "rejected: transfer mortality too high to be deaths",
    "rejected: unknown selection method",
    "rejected: weight out of range",
    "scenario baseline",
    "scenario first_scenario",
    "scenario pinned_run",
    "scenario pinned_scenario",
    "several measurements in one anchor",
    "stage changed",
    "start weight from assignment",
    "start weight from default",
    "start weight from lifecycle_stage",
    "start weight from scenario",
    "start weight from stage_constraint",
    "stocked from creation_actions",
    "stocked from inferred",
    "stocked from rebuilt",
    "stocked from transfer_in",
    "temperature interpolated",
    "temperature measured",
    "temperature nearest",
    "temperature none",
    "temperature profile",
    "weight capped",
    "weight measured",
    "weight tgc_computed",
    "weight unchanged",
    "year end",
}
"""What the seeded farms hold together; a generator that loses one of these tests less."""


@pytest.mark.parametrize("setting", SETTINGS)
def test_models_and_reference_agree_on_any_farm(
    farm_bench: Callable[[str], FarmBench], setting: str
) -> None:
    """Hypothesis draws the farms, for it tends to extremes; what fails is made smaller by row."""
    bench = farm_bench(setting)
    farms: list[RandomFarm] = []

    @given(random=st.randoms(use_true_random=False))
    def draw(random: Random) -> None:
        farms.append(bench.random_farm(random))

    draw()
    agreed_on(bench, farms)


def test_random_farms_hold_every_case_of_the_growth_model(
    farm_bench: Callable[[str], FarmBench],
) -> None:
    seen: set[str] = set()
    for first, setting in enumerate(SETTINGS):
        bench = farm_bench(setting)
        seeds = range(first, SEEDED_FARMS, len(SETTINGS))
        farms = [bench.random_farm(Random(seed)) for seed in seeds]  # noqa: S311
        seen |= agreed_on(bench, farms)
    assert sorted(FEATURES - seen) == []


def agreed_on(bench: FarmBench, farms: Sequence[RandomFarm]) -> set[str]:
    """Compare farms, some at a time, and return what they hold."""
    features: set[str] = set()
    for start in range(0, len(farms), SIDE_BY_SIDE):
        together = farms[start : start + SIDE_BY_SIDE]
        report = bench.compare(*together)
        assert report.agrees, bench.smaller_failure(*together)
        features |= report.features
    return features


def test_farms_agree_lineage_by_lineage(farm_bench: Callable[[str], FarmBench]) -> None:
    bench = farm_bench(next(iter(SETTINGS)))
    farms = [bench.random_farm(Random(number)) for number in range(SEEDED_BY_LINEAGE)]  # noqa: S311
    report = bench.compare(*farms, states_of_a_group=1)
    assert report.agrees, report.text()
