"""The reference on farms small enough to be followed in the head.

Water of 0 °C: nothing grows, so that weights are those of the records.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_farm import FIRST, SmallFarm, day, read_seeds

from anchorline.reference import Result, Seeds
from anchorline.verify import compare
from anchorline.verify.truth import error_table


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    return read_seeds()


def column(result: Result, name: str, stay: int) -> list[Any]:
    states = result.states
    return states.loc[states["assignment_id"] == stay, name].tolist()


def balance_is_exact(result: Result) -> bool:
    states = result.states
    before = states.groupby("assignment_id")["population"].shift(fill_value=0)
    return bool(
        (
            states["population"]
            == before
            + states["arrived_count"]
            - states["departed_count"]
            - states["mortality_count"]
            + states["count_adjustment"]
        ).all()
    )


def test_a_transfer_moves_number_weight_and_stage(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, 4, 0)
    farm.stay(2, 4, None, 999, lifecycle_stage_id=2, avg_weight_g=4500.0)
    farm.deaths(1, 1, 2, 5)
    farm.transfer(1, 1, 2, 4, 95, source_population_before=95)
    result = farm.compute(seeds)
    # rebuilt: 95 before the transfer and 5 dead before it
    assert column(result, "population", 1) == [100, 95, 95]
    assert column(result, "mortality_source", 1) == ["model", "actual", "model"]
    assert column(result, "population", 2) == [95, 95, 95]
    # never the destination's own 4500 g
    assert column(result, "avg_weight_g", 2) == [50, 50, 50]
    assert column(result, "lifecycle_stage_name", 2) == ["Smolt"] * 3
    assert column(result, "day_number", 2) == [4, 5, 6]
    assert column(result, "is_provisional", 2) == [False, False, True]
    assert set(result.states["scenario_id"]) == {7}
    assert balance_is_exact(result)


def test_a_batch_without_scenario_is_served_by_the_baseline(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.rows.pop("scenarios")
    farm.stay(1, 1, None, 100)
    result = farm.compute(seeds, until=2)
    assert set(result.states["scenario_source"]) == {"baseline"}
    assert result.states["scenario_id"].isna().all()
    assert set(result.states["temp_c"]) == {8.0}


def test_a_lost_fish_is_not_a_dead_fish(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, 3)
    farm.stay(2, 3, None)
    farm.stay(3, 3, None, 50)
    farm.transfer(1, 1, 2, 3, 50, source_population_before=100, mortality_during_transfer=50)
    result = farm.compute(seeds, until=4)
    assert column(result, "population", 2) == [50, 50]
    # nobody recorded how the other half came into the second pen
    assert column(result, "population", 3) == [50, 50]
    assert column(result, "is_arrival_inferred", 3) == [True, True]
    assert column(result, "weight_confidence", 3) == [0.4, 0.4]
    assert result.rejected["reason"].tolist() == ["transfer mortality too high to be deaths"]


def test_sources_of_unrecorded_fish_give_in_proportion(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, 3, 10)
    farm.stay(2, 1, 3, 20, avg_weight_g=80.0)
    farm.stay(3, 3, None, 16)
    result = farm.compute(seeds, until=3)
    # 16 * 10 / 30 = 5.33 and 10.67: 5 and 11
    moved = result.movements[result.movements["is_inferred"]]
    assert moved["fish_count"].tolist() == [5, 11]
    assert column(result, "avg_weight_g", 3) == [round((5 * 50 + 11 * 80) / 16, 4)]


def test_a_vessel_passes_its_fish_on_within_a_day(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, 3, 0)
    farm.stay(2, 3, 3)
    farm.stay(3, 3, None)
    farm.stay(4, 3, None)
    farm.transfer(1, 1, 2, 3, 100, source_population_before=100)
    farm.transfer(2, 2, 3, 3, 60)
    farm.transfer(3, 2, 4, 3, 40, measured_avg_weight_g=44.0)
    result = farm.compute(seeds, until=3)
    assert column(result, "population", 2) == []
    assert column(result, "population", 3) == [60]
    assert column(result, "population", 4) == [40]
    # the vessel's anchor of the day, which the second leg measured, serves both legs
    assert column(result, "avg_weight_g", 3) == [44.0]


def test_transfers_in_a_circle_within_a_day_are_rejected(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 10)
    farm.stay(2, 1, None, 20)
    farm.transfer(1, 1, 2, 1, 5, source_population_before=10)
    farm.transfer(2, 2, 1, 1, 5, source_population_before=20)
    result = farm.compute(seeds, until=1)
    assert result.states["population"].tolist() == [10, 20]
    assert result.rejected["record_id"].tolist() == [1, 2]


def test_what_does_not_add_up_is_published(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 0)
    farm.add(
        "creation_actions",
        {
            "creation_action_id": 1,
            "assignment_id": 1,
            "creation_status": "COMPLETED",
            "actual_delivery_date": day(1),
            "egg_count_actual": 12,
            "mortality_on_arrival": 2,
        },
    )
    farm.deaths(1, 1, 2, 13)
    result = farm.compute(seeds, until=3)
    assert column(result, "population", 1) == [10, 0, 0]
    assert column(result, "mortality_count", 1) == [0, 13, 0]
    assert column(result, "count_adjustment", 1) == [0, 3, 0]
    assert balance_is_exact(result)


def test_deaths_of_the_batch_alone_are_shared_in_whole_fish(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 300)
    farm.stay(2, 1, None, 100)
    farm.deaths(1, None, 2, 10)
    result = farm.compute(seeds, until=2)
    # 7.5 and 2.5: equal remainders, the odd fish to the lowest id
    assert column(result, "mortality_count", 1) == [0, 8]
    assert column(result, "mortality_count", 2) == [0, 2]
    assert column(result, "mortality_source", 2) == ["model", "prorated"]


def test_the_better_anchor_of_a_day_wins_and_several_of_a_kind_are_averaged(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 100)
    farm.sample(1, 1, 2, 60.0, size=30)
    farm.sample(2, 1, 2, 80.0, size=10)
    farm.sample(3, 1, 3, 70.0)
    farm.add("manual_anchors", {"manual_anchor_id": 1, "assignment_id": 1, "anchor_date": day(2)})
    farm.rows["manual_anchors"][0]["weight_g"] = 20.0
    farm.add("anchor_exclusions", {"anchor_type": "growth_sample", "record_id": 3})
    result = farm.compute(seeds, until=3)
    assert column(result, "avg_weight_g", 1) == [50, 65, 65]
    assert result.states["anchor_type"].fillna("none").tolist() == ["none", "growth_sample", "none"]
    assert column(result, "weight_confidence", 1) == [0.5, 1.0, 0.5]


def test_a_sampled_day_names_the_activity_that_asked_for_it(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 100)
    farm.stay(2, 1, None, 100)
    farm.sample(1, 1, 2, 40.0)
    farm.sample(2, 2, 3, 40.0)
    farm.sample(3, 1, 5, 60.0)
    farm.sample(4, 2, 6, 60.0)

    def planned(number: int, completed: int | None, **others: Any) -> None:
        row = {
            "planned_activity_id": number,
            "batch_id": 1,
            "activity_type": "SAMPLING",
            "activity_status": "COMPLETED",
            "completed_date": None if completed is None else day(completed),
        }
        farm.add("planned_activities", row | others)

    planned(71, 3)
    planned(70, 3, container_id=1)  # none of container 2
    planned(69, 4)  # the next day is not as near as the same
    planned(68, 3, activity_type="VACCINATION")
    planned(67, 6, activity_status="IN_PROGRESS")
    planned(66, 7)  # after the as-of date
    planned(65, None)
    result = farm.compute(seeds)
    # a day away for the whole batch as well as for the container: the container's own; the sample
    # of the 5th is a day after 69, that of the 6th two
    assert _known(column(result, "planned_activity_id", 1)) == [None, 70, None, None, 69, None]
    assert _known(column(result, "planned_activity_id", 2)) == [None, None, 71, None, None, None]


def _known(values: list[Any]) -> list[Any]:
    return [None if pd.isna(value) else value for value in values]


def test_a_sample_on_the_departure_day_weighs_the_fish_that_leave(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, 3)
    farm.stay(2, 3, None)
    farm.sample(1, 1, 3, 62.0)
    farm.transfer(1, 1, 2, 3, 40, source_population_before=40)
    result = farm.compute(seeds, until=3)
    assert column(result, "avg_weight_g", 1) == [50, 50]
    assert column(result, "avg_weight_g", 2) == [62]


def test_fish_move_on_one_stage_a_day_and_never_back(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 100)
    farm.sample(1, 1, 2, 600.0)
    farm.sample(2, 1, 4, 20.0)
    result = farm.compute(seeds, until=4)
    assert column(result, "lifecycle_stage_id", 1) == [1, 2, 3, 3]


def test_a_late_transfer_is_on_its_way_for_a_day(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, 3)
    farm.stay(2, 4, None)
    farm.transfer(1, 1, 2, 4, 100, source_population_before=100)
    result = farm.compute(seeds, until=4)
    assert column(result, "population", 1) == [100, 100]
    assert column(result, "population", 2) == [100]


def test_temperature_gaps_are_filled_by_what_is_nearest(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 100)
    for number, (on, temp_c) in enumerate([(2, 4.0), (2, 6.0), (4, 9.0), (5, 31.0)], start=1):
        farm.add(
            "environmental_readings",
            {
                "reading_id": number,
                "container_id": 1,
                "parameter_id": 1,
                "reading_date": day(on),
                "reading_value": temp_c,
            },
        )
    result = farm.compute(seeds, until=12)
    assert column(result, "temp_c", 1) == [5, 5, 7, 9, 9, 9, 9, 9, 9, 9, 9, 0]
    sources = ["nearest", "measured", "interpolated", "measured", *["nearest"] * 7, "profile"]
    assert column(result, "temp_source", 1) == sources
    assert column(result, "temp_confidence", 1)[2] == 0.7
    assert result.rejected["reason"].tolist() == ["temperature out of range"]


def test_feed_of_a_container_is_shared_by_biomass(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.add("batches", {"batch_id": 2, "batch_number": "B2", "species_id": 1, "start_date": FIRST})
    farm.add(
        "scenarios",
        {"scenario_id": 8, "batch_id": 2, "tgc_model_id": 1, "mortality_model_id": 1},
    )
    farm.stay(1, 1, None, 300)
    farm.stay(2, 1, None, 100, batch_id=2, container_id=1)
    farm.add(
        "feeding_events",
        {"feeding_event_id": 1, "container_id": 1, "feeding_date": day(2), "amount_kg": 8.0},
        {"feeding_event_id": 2, "container_id": 5, "feeding_date": day(2), "amount_kg": 8.0},
    )
    result = farm.compute(seeds, until=2)
    assert column(result, "feed_kg", 1)[1] == 6
    assert column(result, "feed_kg", 2)[1] == 2
    assert column(result, "feed_source", 1) == ["none", "actual"]
    assert result.rejected["record_id"].tolist() == [2]


def test_a_later_stay_that_overlaps_is_rejected(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, 4, 10)
    farm.stay(2, 3, None, 10, container_id=1)
    result = farm.compute(seeds)
    assert set(result.states["assignment_id"]) == {1}
    assert result.rejected["record_id"].tolist() == [2]


def as_database(result: Result) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the reference's own states as if they had been read from a database."""
    mart = result.states.copy()
    mart["state_date"] = mart["state_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    engine = mart[["assignment_id", "state_date", "population"]].assign(
        weight_g=result.unrounded["weight_g"]
    )
    return mart, engine


def test_compare_finds_what_differs_and_nothing_else(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 100)
    result = farm.compute(seeds, until=3)
    mart, engine = as_database(result)
    assert compare(result, mart, engine, result.rejected).agrees

    off = mart.copy()
    off.loc[1, "population"] += 1
    off.loc[2, "temp_source"] = "measured"
    off["biomass_kg"] += [0.01, 0.02, 0]  # one unit of the last place is allowed
    found = compare(result, off, engine, result.rejected)
    assert {c.name: c.differing for c in found.columns if c.differing} == {
        "population": 1,
        "temp_source": 1,
        "biomass_kg": 1,
    }
    assert not found.agrees
    assert found.first_rows["state_date"].tolist() == ["2024-02-28", "2024-02-28", "2024-02-29"]

    heavier = engine.assign(weight_g=engine["weight_g"] * (1 + 2e-9))
    assert not compare(result, mart, heavier, result.rejected).agrees
    lighter = engine.assign(weight_g=engine["weight_g"] * (1 - 5e-10))
    assert compare(result, mart, lighter, result.rejected).agrees
    assert compare(result, mart.iloc[1:], engine, result.rejected).only_in_reference == 1


def test_errors_against_the_truth_are_told_by_days_since_the_anchor() -> None:
    states = pd.DataFrame(
        {
            "assignment_id": 1,
            "state_date": [1, 2, 3],
            "population": [100, 100, 90],
            "avg_weight_g": [50.0, 60.0, 55.0],
            "anchor_type": [None, "growth_sample", None],
        }
    )
    truth = pd.DataFrame(
        {
            "assignment_id": 1,
            "state_date": [1, 2, 3],
            "population": [100, 100, 100],
            "weight_g": [100.0, 60.0, 50.0],
        }
    )
    table = error_table(states, truth).set_index("days_since_anchor")
    assert table.loc["no anchor yet", "weight_percent"] == 50
    assert table.loc["1 to 7", "weight_percent"] == pytest.approx(10)
    assert table.loc["1 to 7", "number_percent"] == pytest.approx(10)
    assert table.loc["1 to 7", "biomass_percent"] == pytest.approx(1)
    assert table.loc["all", "states"] == 2
