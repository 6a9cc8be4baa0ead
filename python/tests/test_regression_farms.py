"""Farms on which the models and the reference once disagreed, or a build stopped: each minimal.

What the random farms find comes here, under the name of its rule.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest

from devtools.farm_comparison import FarmBench
from devtools.random_farms import RandomFarm, Row, at

FIRST = date(2024, 2, 20)
STAGE = {"id": 1, "name": "Parr", "order": 1, "species_id": 1, "expected_weight_min_g": 10}
BATCH = {"id": 1, "batch_number": "B1", "species_id": 1, "start_date": FIRST}


def day(number: int) -> date:
    """Return a day by its number; the batch's first day is 1."""
    return date.fromordinal(FIRST.toordinal() + number - 1)


def stay(number: int, first: int, departs: int | None, count: int = 0, **others: Any) -> Row:
    return {
        "id": number,
        "batch_id": 1,
        "container_id": number,
        "lifecycle_stage_id": 1,
        "is_active": departs is None,
        "assignment_date": day(first),
        "departure_date": None if departs is None else day(departs),
        "population_count": count,
        **others,
    }


def transfer(number: int, source: int, dest: int, on: int, count: int, **others: Any) -> Row:
    return {
        "id": number,
        "workflow_id": 1,
        "source_assignment_id": source,
        "dest_assignment_id": dest,
        "status": "COMPLETED",
        "actual_execution_date": day(on),
        "transferred_count": count,
        "mortality_during_transfer": 0,
        "selection_method": "AVERAGE",
        **others,
    }


def sample(number: int, assignment: int, on: int, weight_g: float, **others: Any) -> Row:
    return {
        "id": number,
        "assignment_id": assignment,
        "sample_date": day(on),
        "avg_weight_g": weight_g,
        **others,
    }


def farm(**rows: Any) -> RandomFarm:
    return RandomFarm({"batch_lifecyclestage": [STAGE], "batch_batch": [BATCH], **rows})


def weighed_at_vaccination(**treatment: Any) -> RandomFarm:
    return farm(
        batch_batchcontainerassignment=[stay(1, 1, None, 100)],
        health_healthsamplingevent=[
            {
                "id": 1,
                "assignment_id": 1,
                "sampling_date": day(2),
                "number_of_fish_sampled": 10,
                "avg_weight_g": 26,
            }
        ],
        health_treatment=[
            {"id": 1, "includes_weighing": True, "sampling_event_id": 1, **treatment}
        ],
    )


def harvests(*on_assignment: tuple[int, int, int]) -> dict[str, list[Row]]:
    """Return the events and lots of harvests, each of an assignment, on a day, of so many fish."""
    return {
        "harvest_harvestevent": [
            {"id": number, "assignment_id": assignment, "event_date": at(2024, 2, day(on).day)}
            for number, (assignment, on, _) in enumerate(on_assignment, 1)
        ],
        "harvest_harvestlot": [
            {"id": number, "event_id": number, "unit_count": count, "live_weight_kg": 1}
            for number, (_, _, count) in enumerate(on_assignment, 1)
        ],
    }


def dead_of_the_batch_alone(on: date | None, count: int) -> RandomFarm:
    return farm(
        batch_batchcontainerassignment=[stay(1, 1, None, 100)],
        batch_mortalityevent=[{"id": 1, "batch_id": 1, "event_date": on, "count": count}],
    )


def reading(value: float | None, when: datetime) -> Row:
    return {"id": 1, "container_id": 1, "parameter_id": 1, "reading_time": when, "value": value}


CASES = {
    "an event of 0 deaths hides a health record where the batch's deaths are shared": farm(
        batch_batchcontainerassignment=[stay(1, 1, None, 1000)],
        batch_mortalityevent=[
            {"id": 1, "batch_id": 1, "assignment_id": 1, "event_date": day(2), "count": 0},
            {"id": 2, "batch_id": 1, "event_date": day(2), "count": 4},
        ],
        health_mortalityrecord=[
            {"id": 1, "batch_id": 1, "assignment_id": 1, "event_date": at(2024, 2, 21), "count": 9}
        ],
    ),
    "a reading without a value is listed": farm(
        batch_batchcontainerassignment=[stay(1, 1, None, 100)],
        environmental_environmentalparameter=[{"id": 1, "name": "Temperature"}],
        environmental_environmentalreading=[reading(None, at(2024, 2, 21))],
    ),
    "deaths of the batch alone without a date are listed": dead_of_the_batch_alone(None, 0),
    "deaths of the batch alone in the future are listed": dead_of_the_batch_alone(
        date(2124, 2, 29), 0
    ),
    "a treatment without batch is weighed by its sampling": weighed_at_vaccination(
        treatment_date=at(2024, 2, 21)
    ),
    "a treatment without date is weighed by its sampling": weighed_at_vaccination(batch_id=1),
    "a pin to a missing scenario is not asked behind a pinned run": farm(
        batch_batch=[{**BATCH, "pinned_projection_run_id": 1, "pinned_scenario_id": 3}],
        scenario_tgcmodel=[{"model_id": 1, "tgc_value": 2.5}],
        scenario_mortalitymodel=[{"model_id": 1, "frequency": "daily", "rate": 0}],
        scenario=[{"scenario_id": 2, "batch_id": 1, "tgc_model_id": 1, "mortality_model_id": 1}],
        scenario_projection_run=[{"run_id": 1, "scenario_id": 2}],
    ),
    "a stored plan that loses weight has heavier fish behind it": farm(
        batch_batch=[{**BATCH, "pinned_projection_run_id": 1}],
        batch_batchcontainerassignment=[stay(1, 1, None, 100)],
        scenario_tgcmodel=[{"model_id": 1, "tgc_value": 2.5}],
        scenario_mortalitymodel=[{"model_id": 1, "frequency": "daily", "rate": 0}],
        scenario=[{"scenario_id": 2, "batch_id": 1, "tgc_model_id": 1, "mortality_model_id": 1}],
        scenario_projection_run=[{"run_id": 1, "scenario_id": 2}],
        scenario_scenarioprojection=[
            {
                "projection_id": number,
                "projection_run_id": 1,
                "projection_date": day(number),
                "current_stage_id": 1,
                "average_weight": weight,
                "population": 100,
            }
            for number, weight in ((1, 10), (2, 40), (3, 20), (4, 5), (5, 4))
        ],
    ),
    "a missing selection method is AVERAGE": farm(
        batch_batchcontainerassignment=[stay(1, 1, 3), stay(2, 3, None), stay(3, 3, None)],
        batch_transferaction=[
            transfer(1, 1, 2, 3, 60, source_population_before=100, measured_avg_weight_g=20),
            transfer(2, 1, 3, 3, 40, measured_avg_weight_g=30, selection_method=None),
        ],
    ),
    "a negative transfer mortality does not reject the transfer": farm(
        batch_batchcontainerassignment=[stay(1, 1, 3), stay(2, 3, None)],
        batch_transferaction=[
            transfer(1, 1, 2, 3, 90, source_population_before=100, mortality_during_transfer=-1)
        ],
    ),
    "legs through a stop draw by their ids as numbers": farm(
        batch_batchcontainerassignment=[
            stay(1, 1, None, 5, avg_weight_g=20),
            stay(2, 1, None, 6, avg_weight_g=40),
            stay(3, 3, 3),
            stay(4, 3, None),
            stay(5, 3, None),
        ],
        batch_transferaction=[
            transfer(97, 1, 3, 3, 5),
            transfer(98, 2, 3, 3, 6),
            transfer(99, 3, 4, 3, 1),
            transfer(100, 3, 5, 3, 7),
        ],
    ),
    "fish under way weigh what those weigh that stayed, until they arrive": farm(
        batch_batchcontainerassignment=[
            stay(1, 1, None, 100),
            stay(2, 3, 3),
            stay(3, 4, None),
        ],
        batch_transferaction=[transfer(1, 1, 2, 3, 40), transfer(2, 2, 3, 4, 40)],
    ),
    "fish under way are fish, also where more are said to leave than were there": farm(
        batch_batchcontainerassignment=[stay(1, 1, None), stay(2, 2, 5), stay(3, 6, None)],
        batch_mortalityevent=[
            {"id": 1, "batch_id": 1, "assignment_id": 2, "event_date": day(3), "count": 1},
            {"id": 2, "batch_id": 1, "assignment_id": 1, "event_date": day(5), "count": 1},
        ],
        batch_transferaction=[
            transfer(1, 1, 2, 2, 1, source_population_before=0),
            transfer(2, 2, 3, 6, 40),
        ],
    ),
    "fish under way to a stop without days are fish": farm(
        batch_batchcontainerassignment=[
            stay(1, 1, None),
            stay(2, 1, 5, 100),
            stay(3, 6, 6),
        ],
        batch_mortalityevent=[
            {"id": 1, "batch_id": 1, "assignment_id": 1, "event_date": day(5), "count": 1}
        ],
        batch_transferaction=[
            transfer(1, 1, 2, 2, 0, source_population_before=0),
            transfer(2, 2, 3, 6, 40),
        ],
    ),
    "a transfer of no fish keeps none under way": farm(
        batch_batchcontainerassignment=[
            stay(1, 1, 1),
            stay(2, 2, 3, 5),
            stay(3, 2, 4, 700),
            stay(4, 4, None, 900),
        ],
        batch_transferaction=[
            transfer(1, 1, 3, 2, 100, source_population_before=100),
            transfer(2, 2, 4, 4, 0, source_population_before=5),
        ],
        batch_mortalityevent=[
            {"id": 1, "batch_id": 1, "assignment_id": 3, "event_date": day(2), "count": 200}
        ],
        health_mortalityrecord=[
            {"id": 1, "batch_id": 1, "container_id": 3, "event_date": at(2024, 2, 22), "count": 2}
        ],
    ),
    "what arrives after the last day does not draw on a stop": farm(
        batch_batchcontainerassignment=[
            stay(1, 1, None, 10, avg_weight_g=20),
            stay(2, 20, 20),
            stay(3, 21, None),
        ],
        batch_transferaction=[
            transfer(1, 1, 2, 20, 4),
            transfer(2, 2, 3, 21, 3),
            transfer(3, 2, 1, 20, 2),
        ],
    ),
    "no source gives more than it brought through two stops": farm(
        batch_batchcontainerassignment=[
            stay(1, 1, None, 3),
            stay(2, 1, None, 3),
            *(stay(number, 3, 3) for number in (3, 4)),
            *(stay(number, 3, None) for number in (5, 6, 7)),
        ],
        batch_transferaction=[
            transfer(1, 1, 3, 3, 3),
            transfer(2, 2, 3, 3, 2),
            transfer(3, 3, 4, 3, 5),
            *(transfer(number, 4, number + 1, 3, 1) for number in (4, 5, 6)),
        ],
    ),
    "fish harvested on the day of their delivery stop no build": farm(
        batch_batchcontainerassignment=[stay(1, 1, None)],
        batch_creationaction=[
            {
                "id": 1,
                "dest_assignment_id": 1,
                "status": "COMPLETED",
                "egg_count_actual": 50,
                "mortality_on_arrival": 0,
                "actual_delivery_date": day(1),
            }
        ],
        harvest_harvestevent=[{"id": 1, "assignment_id": 1, "event_date": at(2024, 2, 20)}],
        harvest_harvestlot=[{"id": 1, "event_id": 1, "unit_count": 10}],
    ),
    "a harvested source has nothing left that its transfers lack": farm(
        batch_batchcontainerassignment=[
            stay(1, 1, 4),
            stay(2, 4, None),
            stay(3, 4, None, 8),
        ],
        batch_mortalityevent=[
            {"id": 1, "batch_id": 1, "assignment_id": 1, "event_date": day(2), "count": 20}
        ],
        batch_transferaction=[transfer(1, 1, 2, 4, 10)],
        harvest_harvestevent=[{"id": 1, "assignment_id": 1, "event_date": at(2024, 2, 22)}],
        harvest_harvestlot=[{"id": 1, "event_id": 1, "unit_count": 30}],
    ),
    "fish harvested where they were stocked on the same day only passed through": farm(
        batch_batchcontainerassignment=[stay(1, 1, 1, 100)],
        **harvests((1, 1, 60)),
    ),
    "fish harvested where they arrived on the same day count where they came from": farm(
        batch_batchcontainerassignment=[stay(1, 1, 3, 100), stay(2, 3, None)],
        batch_transferaction=[transfer(1, 1, 2, 3, 100)],
        **harvests((2, 3, 40), (2, 5, 50)),
    ),
    "a batch is compared by number for the harvests that have a day before": farm(
        batch_batchcontainerassignment=[stay(1, 1, 2, 100), stay(2, 1, 4, 100)],
        **harvests((1, 1, 60), (2, 4, 90)),
    ),
    "percentages of harvested weights are of the unrounded ones": farm(
        batch_batchcontainerassignment=[stay(1, 1, 4, 9000)],
        **harvests((1, 4, 9000)),
    ),
    "a week holds departure days on which nothing else of the batch has a state": farm(
        batch_batchcontainerassignment=[stay(1, 1, 3, 100), stay(2, 5, None, 50)],
    ),
    "fish that died where none had arrived weigh nothing": farm(
        batch_batchcontainerassignment=[stay(1, 1, 3, 100), stay(2, 3, 3), stay(3, 3, None)],
        batch_transferaction=[transfer(1, 1, 2, 3, 100), transfer(2, 2, 3, 3, 100)],
        batch_mortalityevent=[
            {"id": 1, "batch_id": 1, "assignment_id": 2, "event_date": day(3), "count": 5}
        ],
    ),
    "of two stages of one order the fish enter one": farm(
        batch_lifecyclestage=[
            {**STAGE, "id": number, "name": name, "order": order, "expected_weight_max_g": limit}
            for number, name, order, limit in (
                (1, "Parr", 1, 30),
                (2, "Smolt", 2, 60),
                (3, "Spring smolt", 2, 60),
            )
        ],
        batch_batchcontainerassignment=[stay(1, 1, None, 100, avg_weight_g=20)],
        batch_growthsample=[sample(1, 1, 3, 40), sample(2, 1, 5, 80)],
    ),
    "a root below 0, as smaller fish came to some of a doubtful weight, is a weight of 0": farm(
        batch_batchcontainerassignment=[
            stay(1, 1, None, 10, avg_weight_g=2.5),
            stay(2, 1, 6, 50000, avg_weight_g=1.1),
        ],
        batch_growthsample=[sample(1, 1, 3, 480, sample_size=1)],
        batch_transferaction=[transfer(1, 2, 1, 6, 50000)],
    ),
    "feed that rounds to 0 kg makes an FCR that does": farm(
        batch_batch=[BATCH, {**BATCH, "id": 2, "batch_number": "B2"}],
        batch_batchcontainerassignment=[
            stay(1, 1, None, 9000, avg_weight_g=4000),
            stay(2, 1, None, 1, avg_weight_g=20, batch_id=2, container_id=1),
        ],
        batch_growthsample=[sample(1, 2, 5, 2500)],
        inventory_feedingevent=[
            {"id": 1, "feeding_date": day(3), "amount_kg": 0.05, "container_id": 1}
        ],
    ),
    "an FCR that cannot be true is rejected": farm(
        batch_batchcontainerassignment=[stay(1, 1, None, 100)],
        scenario_fcrmodelstage=[
            {"id": number, "model_id": 1, "stage_id": number, "fcr_value": fcr}
            for number, fcr in enumerate((-0.05, 0.0, 1.1, 10.0, 10.5, None), start=1)
        ],
        scenario_fcr_model_stage_override=[
            {
                "id": number,
                "fcr_stage_id": 3,
                "min_weight_g": number,
                "max_weight_g": number + 1,
                "fcr_value": fcr,
            }
            for number, fcr in enumerate((-0.05, 0, 10, 10.5), start=1)
        ],
    ),
    "a last stage that ends at nothing does not limit the harvest": farm(
        batch_lifecyclestage=[{**STAGE, "expected_weight_max_g": 0}],
        batch_batchcontainerassignment=[stay(1, 1, None, 100)],
    ),
}


def test_models_and_reference_agree(farm_bench: Callable[[str], FarmBench]) -> None:
    """All side by side, which costs little more than one, and each alone where they differ."""
    bench = farm_bench("defaults")
    together = bench.compare(*CASES.values())
    if not together.agrees:
        alone = {case: bench.compare(farm).text() for case, farm in CASES.items()}
        said = [f"{case}:\n{text}" for case, text in alone.items() if text]
        pytest.fail("\n".join(said) or f"only side by side:\n{together.text()}")
