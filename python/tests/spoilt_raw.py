"""Raw tables of a row or two each, what spoils them, and which expectation must see it.

Keys and references are spoilt table by table, as the suite lists them; what the other
expectations must see is written down, one line for each of their conditions.
"""

# ruff: noqa: S608
# The SQL that spoils the farm is put together from constants of this file and the suite.

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from anchorline.expectations.suites import SHAPE_TYPE, read_suite
from anchorline.raw.sources import read_sources

RAW = {expectation.id: expectation for expectation in read_suite("raw").expectations}

# A batch that was moved from one container to another, and one that was harvested. Everything
# is as it should be.
FARM: dict[str, list[dict[str, Any]]] = {
    "batch_species": [{"id": 1, "name": "Atlantic salmon"}],
    "batch_lifecyclestage": [
        {
            "id": 1,
            "name": "Fry",
            "order": 1,
            "species_id": 1,
            "expected_weight_min_g": 1,
            "expected_weight_max_g": 10,
        },
        {"id": 2, "name": "Parr", "order": 2, "species_id": 1, "expected_weight_min_g": 10},
    ],
    "infrastructure_geography": [{"id": 1, "name": "Faroe Islands"}],
    "infrastructure_freshwaterstation": [{"id": 1, "geography_id": 1}],
    "infrastructure_hall": [{"id": 1, "freshwater_station_id": 1}],
    "infrastructure_area": [{"id": 1, "geography_id": 1, "max_biomass": 1000}],
    "infrastructure_containertype": [
        {"id": 1, "name": "Tank", "category": "TANK"},
        {"id": 2, "name": "Vessel", "category": "OTHER"},
    ],
    "infrastructure_container": [
        {"id": 1, "container_type_id": 1, "hall_id": 1, "volume_m3": 10, "max_biomass_kg": 100},
        {
            "id": 2,
            "container_type_id": 1,
            "area_id": 1,
            "volume_m3": 10,
            "max_biomass_kg": 100,
            "parent_container_id": 1,
        },
        {"id": 3, "container_type_id": 2, "volume_m3": 10, "max_biomass_kg": 100},
    ],
    "batch_batch": [
        {
            "id": 1,
            "batch_number": "MOVED",
            "status": "ACTIVE",
            "species_id": 1,
            "lifecycle_stage_id": 2,
            "start_date": "2025-06-01",
            "pinned_projection_run_id": 1,
        },
        {
            "id": 2,
            "batch_number": "HARVESTED",
            "status": "COMPLETED",
            "species_id": 1,
            "lifecycle_stage_id": 2,
            "start_date": "2025-01-01",
            "actual_end_date": "2025-08-01",
        },
        {
            "id": 3,
            "batch_number": "PLANNED",
            "status": "PLANNED",
            "species_id": 1,
            "lifecycle_stage_id": 1,
            "start_date": "2025-09-30",
        },
    ],
    "batch_batchcontainerassignment": [
        {
            "id": 1,
            "batch_id": 1,
            "container_id": 1,
            "lifecycle_stage_id": 1,
            "assignment_date": "2025-06-01",
            "departure_date": "2025-07-01",
            "is_active": False,
            "population_count": 0,
            "avg_weight_g": 1,
        },
        {
            "id": 2,
            "batch_id": 1,
            "container_id": 2,
            "lifecycle_stage_id": 2,
            "assignment_date": "2025-07-01",
            "is_active": True,
            "population_count": 990,
        },
        {
            "id": 3,
            "batch_id": 2,
            "container_id": 1,
            "lifecycle_stage_id": 2,
            "assignment_date": "2025-01-01",
            "departure_date": "2025-08-01",
            "is_active": False,
            "population_count": 100,
        },
        {
            "id": 4,
            "batch_id": 2,
            "container_id": 3,
            "lifecycle_stage_id": 2,
            "assignment_date": "2025-02-01",
            "departure_date": "2025-02-02",
            "is_active": False,
            "population_count": 0,
            "avg_weight_g": 5,
        },
    ],
    "batch_creationaction": [
        {
            "id": 1,
            "status": "COMPLETED",
            "dest_assignment_id": 1,
            "actual_delivery_date": "2025-06-01",
            "egg_count_actual": 1100,
            "mortality_on_arrival": 100,
        }
    ],
    "batch_batchtransferworkflow": [{"id": 1, "batch_id": 1}],
    "batch_transferaction": [
        {
            "id": 1,
            "status": "COMPLETED",
            "workflow_id": 1,
            "source_assignment_id": 1,
            "dest_assignment_id": 2,
            "actual_execution_date": "2025-07-01",
            "source_population_before": 1000,
            "transferred_count": 990,
            "mortality_during_transfer": 10,
            "measured_avg_weight_g": 10,
            "measured_sample_size": 30,
            "selection_method": "AVERAGE",
        }
    ],
    "batch_growthsample": [
        {
            "id": 1,
            "assignment_id": 2,
            "sample_date": "2025-09-01",
            "sample_size": 30,
            "avg_weight_g": 12,
            "std_deviation_weight": 2,
        },
        {
            "id": 2,
            "assignment_id": 2,
            "sample_date": "2025-09-15",
            "sample_size": 30,
            "avg_weight_g": 14,
        },
    ],
    "batch_mortalityevent": [
        {"id": 1, "batch_id": 1, "assignment_id": 2, "event_date": "2025-09-25", "count": 1},
        {"id": 2, "batch_id": 1, "assignment_id": 2, "event_date": "2025-09-20", "count": 0},
    ],
    "health_mortalityrecord": [
        {
            "id": 1,
            "batch_id": 1,
            "container_id": 2,
            "assignment_id": 2,
            "event_date": "2025-09-20T12:00Z",
            "count": 1,
        }
    ],
    "environmental_environmentalparameter": [
        {"id": 1, "name": "Temperature"},
        {"id": 2, "name": "Oxygen"},
    ],
    "environmental_environmentalreading": [
        {
            "id": 1,
            "container_id": 2,
            "parameter_id": 1,
            "value": 10,
            "reading_time": "2025-09-29T12:00Z",
        },
        {
            "id": 2,
            "container_id": 2,
            "parameter_id": 1,
            "value": 11,
            "reading_time": "2025-09-28T12:00Z",
        },
    ],
    "inventory_feedingevent": [
        {
            "id": 1,
            "batch_id": 1,
            "batch_assignment_id": 2,
            "container_id": 2,
            "feeding_date": "2025-09-29",
            "amount_kg": 1,
        },
        {
            "id": 2,
            "batch_id": 1,
            "batch_assignment_id": 2,
            "container_id": 2,
            "feeding_date": "2025-09-28",
            "amount_kg": 1,
        },
    ],
    "health_healthsamplingevent": [
        {
            "id": 1,
            "assignment_id": 2,
            "sampling_date": "2025-09-15",
            "number_of_fish_sampled": 10,
            "avg_weight_g": 14,
        },
        {"id": 2, "assignment_id": 2, "sampling_date": "2025-09-15", "number_of_fish_sampled": 5},
    ],
    "health_individualfishobservation": [
        {"id": 1, "sampling_event_id": 1, "weight_g": 14, "length_cm": 10}
    ],
    "health_treatment": [
        {
            "id": 1,
            "batch_id": 1,
            "batch_assignment_id": 2,
            "container_id": 2,
            "treatment_date": "2025-09-15T12:00Z",
            "includes_weighing": True,
            "sampling_event_id": 1,
        },
        {
            "id": 2,
            "batch_id": 1,
            "batch_assignment_id": 2,
            "container_id": 2,
            "treatment_date": "2025-09-16T12:00Z",
            "includes_weighing": False,
        },
    ],
    "harvest_harvestevent": [
        {"id": 1, "assignment_id": 3, "batch_id": 2, "event_date": "2025-08-01T12:00Z"}
    ],
    "harvest_harvestlot": [{"id": 1, "event_id": 1, "unit_count": 100, "live_weight_kg": 400}],
    "scenario": [
        {
            "scenario_id": 1,
            "batch_id": 1,
            "initial_count": 1000,
            "initial_weight": 1,
            "tgc_model_id": 1,
            "mortality_model_id": 1,
            "biological_constraints_id": 1,
        }
    ],
    "planning_plannedactivity": [
        {
            "id": 1,
            "batch_id": 1,
            "container_id": 2,
            "activity_type": "HARVEST",
            "due_date": "2025-12-01",
            "status": "PENDING",
            "scenario_id": 1,
            "transfer_workflow_id": 1,
        }
    ],
    "planning_activitytemplate": [
        {
            "id": 1,
            "name": "Check",
            "activity_type": "SAMPLING",
            "trigger_type": "STAGE_TRANSITION",
            "target_lifecycle_stage_id": 2,
            "is_active": True,
        },
        {
            "id": 2,
            "name": "Weigh",
            "activity_type": "SAMPLING",
            "trigger_type": "DAY_OFFSET",
            "day_offset": 0,
            "is_active": True,
        },
        {
            "id": 3,
            "name": "Treat",
            "activity_type": "TREATMENT",
            "trigger_type": "GENETIC_THRESHOLD",
            "is_active": False,
        },
    ],
    "broodstock_batchparentage": [
        {
            "id": 1,
            "batch_id": 1,
            "egg_production_id": 1,
            "assignment_date": "2025-01-01T12:00Z",
        }
    ],
    "broodstock_eggproduction": [{"id": 1, "pair_id": 1}],
    "broodstock_breedingpair": [{"id": 1, "plan_id": 1}],
    "broodstock_breedingtraitpriority": [
        {"id": 1, "plan_id": 1, "trait_name": "disease_resistance", "priority_weight": 0.4}
    ],
    "scenario_fcrmodelstage": [{"id": 1, "model_id": 1, "stage_id": 1, "fcr_value": 1.1}],
    "scenario_fcr_model_stage_override": [
        {"id": 1, "fcr_stage_id": 1, "min_weight_g": 5, "max_weight_g": 10, "fcr_value": 1.2}
    ],
    "scenario_projection_run": [{"run_id": 1, "scenario_id": 1}],
    "scenario_scenarioprojection": [
        {
            "projection_id": 1,
            "projection_run_id": 1,
            "projection_date": "2025-01-01",
            "average_weight": 1,
            "population": 1000,
            "current_stage_id": 1,
        }
    ],
    "scenario_tgcmodel": [{"model_id": 1, "name": "TGC", "tgc_value": 2.5, "profile_id": 1}],
    "scenario_tgc_model_stage": [
        {"id": 1, "tgc_model_id": 1, "lifecycle_stage": "FRY", "tgc_value": 2.2}
    ],
    "scenario_temperaturereading": [
        {"reading_id": 1, "profile_id": 1, "day_number": 1, "temperature": 8}
    ],
    "scenario_mortalitymodel": [{"model_id": 1, "name": "M", "frequency": "daily", "rate": 0.03}],
    "scenario_mortality_model_stage": [
        {
            "id": 1,
            "mortality_model_id": 1,
            "lifecycle_stage": "fry",
            "daily_rate_percent": 0.1,
            "weekly_rate_percent": 0.7,
        }
    ],
    "scenario_stage_constraint": [
        {
            "id": 1,
            "constraint_set_id": 1,
            "lifecycle_stage": "fry",
            "min_weight_g": 1,
            "max_weight_g": 10,
        }
    ],
    "scenario_scenariomodelchange": [
        {"change_id": 1, "scenario_id": 1, "change_day": 10, "new_tgc_model_id": 1},
        {"change_id": 2, "scenario_id": 1, "change_day": 20, "new_mortality_model_id": 1},
    ],
}


@dataclass(frozen=True)
class Corruption:
    """Statements that spoil the farm, who must see it, and who else may not overlook it."""

    expectation_id: str
    statement: str
    others: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """The table that is spoilt."""
        found = re.match(r"(?:update|insert into|delete from) (\w+)", self.statement)
        assert found, self.statement
        return found[1]


def spoilt(expectation_id: str, *changes: str, others: tuple[str, ...] = ()) -> list[Corruption]:
    """Change the table that the expectation is called after: one `set` and `where` each."""
    table = expectation_id.partition(".")[0]
    return [Corruption(expectation_id, f"update {table} set {c}", others) for c in changes]


def keys_spoilt() -> Iterator[Corruption]:
    """A second row with a key, and a row with none. The copy belongs to no other row."""
    for id_, expectation in RAW.items():
        if id_.endswith(".key"):
            table, key = expectation.relation.name, read_sources()[expectation.relation.name].key
            for value in (f"rows.{key}", "null"):
                yield Corruption(
                    id_,
                    f"insert into {table} select copied.* from {table} as rows cross join lateral "
                    f"jsonb_populate_record(rows, jsonb_build_object('{key}', {value})) as copied "
                    f"where rows.{key} = (select max({key}) from {table})",
                )


def references_spoilt() -> Iterator[Corruption]:
    """Each column in its turn points to a row that is not there."""
    for id_, expectation in RAW.items():
        if ".references" in id_:
            columns = re.findall(r"records\.(\w+) is not null and", str(expectation.query))
            assert set(columns) == set(
                expectation.description.rstrip(".").split(": ")[1].split(", ")
            )
            table, key = expectation.relation.name, read_sources()[expectation.relation.name].key
            for column in columns:
                yield Corruption(
                    id_,
                    f"update {table} set {column} = -1 where {column} is not null and "
                    f"{key} = (select max({key}) from {table} where {column} is not null)",
                    REFERENCE_OTHERS.get(f"{table}.{column}", ()),
                )


# Who cannot overlook a spoilt reference: whoever needs that row to say more.
REFERENCE_OTHERS: dict[str, tuple[str, ...]] = {
    "batch_mortalityevent.assignment_id": ("batch_mortalityevent.assignment",),
    "batch_mortalityevent.batch_id": (
        "batch_mortalityevent.assignment",
        "batch_mortalityevent.values",
    ),
    "batch_transferaction.dest_assignment_id": ("batch_transferaction.values",),
    "batch_transferaction.source_assignment_id": ("batch_transferaction.values",),
    "harvest_harvestevent.assignment_id": ("harvest_harvestevent.values",),
    "harvest_harvestevent.batch_id": ("harvest_harvestevent.values",),
    "health_mortalityrecord.batch_id": ("health_mortalityrecord.values",),
    "health_treatment.batch_id": ("health_treatment.values",),
    "health_treatment.sampling_event_id": ("health_treatment.weighing",),
    "infrastructure_container.container_type_id": ("infrastructure_container.values",),
    "inventory_feedingevent.batch_assignment_id": ("inventory_feedingevent.values",),
    "scenario.batch_id": ("batch_batch.scenario",),
}

OTHER_CORRUPTIONS: list[Corruption] = [
    Corruption("batch_batch.scenario", "update scenario set batch_id = 2"),
    Corruption("batch_batch.scenario", "update scenario set batch_id = null"),
    *spoilt(
        "batch_batch.values",
        "batch_number = ' ' where id = 1",
        "batch_number = null where id = 1",
        "start_date = '2025-10-01' where id = 3",
        "start_date = null where id = 3",
        "actual_end_date = '2025-09-29', status = 'TERMINATED' where id = 3",
        "actual_end_date = '2025-10-01' where id = 2",
        "actual_end_date = null where id = 2",
        "actual_end_date = '2025-09-30' where id = 3",
        "status = 'SOLD' where id = 2",
        "status = 'RECEIVING' where id = 2",
    ),
    *spoilt(
        "batch_batchcontainerassignment.is_active",
        "is_active = true where id = 1",
        "is_active = true where id = 3",
        "is_active = false where id = 2",
        "is_active = null where id = 2",
    ),
    *spoilt(
        "batch_batchcontainerassignment.overlap",
        "container_id = 1 where id = 4",
        "container_id = 1, assignment_date = '2025-01-01' where id = 4",
    ),
    *spoilt(
        "batch_batchcontainerassignment.values",
        "assignment_date = '2025-10-01', departure_date = null where id = 4",
        "assignment_date = null where id = 4",
        "assignment_date = '2024-12-31' where id = 4",
        "departure_date = '2025-01-31' where id = 4",
        "population_count = -1 where id = 2",
        "population_count = null where id = 2",
        "avg_weight_g = 0 where id = 1",
        "avg_weight_g = 50000.01 where id = 1",
    ),
    *spoilt(
        "batch_creationaction.values",
        "actual_delivery_date = '2025-10-01'",
        "actual_delivery_date = '2025-07-02'",
        "actual_delivery_date = null",
        "egg_count_actual = -1, mortality_on_arrival = 0",
        "egg_count_actual = null",
        "mortality_on_arrival = -1",
        "mortality_on_arrival = 1101",
    ),
    *spoilt("batch_growthsample.jumps", "avg_weight_g = 8 where id = 2"),
    *spoilt("batch_growthsample.freshness", "sample_date = '2025-07-31'"),
    Corruption("batch_growthsample.freshness", "delete from batch_growthsample"),
    *spoilt(
        "batch_growthsample.values",
        "sample_date = '2025-06-30' where id = 1",
        "sample_date = '2025-10-01' where id = 2",
        "sample_date = null where id = 2",
        "sample_size = 0",
        "sample_size = null",
        "avg_weight_g = 0 where id = 2",
        "avg_weight_g = 50001 where id = 2",
        "std_deviation_weight = -1 where id = 1",
        "std_deviation_weight = 12.01 where id = 1",
    ),
    *spoilt(
        "batch_lifecyclestage.values",
        "expected_weight_min_g = -1 where id = 1",
        "expected_weight_min_g = 11 where id = 1",
        '"order" = 1 where id = 2',
        "expected_weight_max_g = null where id = 1",
    ),
    *spoilt(
        "batch_mortalityevent.assignment",
        "event_date = '2025-06-30' where id = 2",
        "assignment_id = 1 where id = 2",
        "assignment_id = null where id = 2",
        "batch_id = 2, event_date = '2025-08-01', assignment_id = 2 where id = 2",
    ),
    *spoilt("batch_mortalityevent.freshness", "event_date = '2025-09-15'"),
    Corruption("batch_mortalityevent.freshness", "delete from batch_mortalityevent"),
    *spoilt(
        "batch_mortalityevent.values",
        '"count" = -1',
        '"count" = null',
        "event_date = '2025-10-01' where id = 2",
    ),
    *spoilt(
        "batch_mortalityevent.values",
        "event_date = '2025-05-31' where id = 2",
        "batch_id = 2, assignment_id = 3, event_date = '2025-08-02' where id = 2",
        others=("batch_mortalityevent.assignment",),
    ),
    *spoilt(
        "batch_transferaction.values",
        "actual_execution_date = null",
        "actual_execution_date = '2025-10-01'",
        "dest_assignment_id = null",
        "dest_assignment_id = 1",
        "actual_execution_date = '2025-06-30'",
        "actual_execution_date = '2025-07-02'",
        "transferred_count = -1",
        "mortality_during_transfer = -1",
        "transferred_count = 991",
        "source_population_before = null",
        "transferred_count = 900, mortality_during_transfer = 48",
    ),
    *spoilt(
        "batch_transferaction.weighing",
        "measured_avg_weight_g = 0",
        "measured_avg_weight_g = 50001",
        "measured_sample_size = 0",
        "selection_method = 'MIDDLE'",
        "selection_method = null",
    ),
    *spoilt(
        "environmental_environmentalparameter.values",
        "name = 'TEMPERATURE ' where id = 2",
        "name = 'Warmth' where id = 1",
    ),
    *spoilt(
        "environmental_environmentalreading.freshness",
        "reading_time = '2025-09-26T23:59Z'",
        "container_id = 1",
    ),
    *spoilt(
        "environmental_environmentalreading.values",
        "container_id = null where id = 2",
        "parameter_id = null where id = 2",
        "parameter_id = -1 where id = 2",
        "reading_time = '2025-10-01T00:00Z' where id = 2",
        "value = -2.1 where id = 2",
        "value = 30.1 where id = 2",
        "value = null where id = 2",
    ),
    *spoilt(
        "harvest_harvestevent.values",
        "event_date = '2024-12-31T23:59Z'",
        "event_date = '2025-08-02T00:00Z'",
        "event_date = null",
        "batch_id = 1",
        "batch_id = null",
        "assignment_id = 2, batch_id = 1, event_date = '2025-10-01T00:00Z'",
    ),
    *spoilt(
        "harvest_harvestlot.values",
        "unit_count = 0",
        "unit_count = null",
        "live_weight_kg = 0",
        "live_weight_kg = 5000.1",
    ),
    *spoilt(
        "health_healthsamplingevent.values",
        "sampling_date = '2025-06-30' where id = 2",
        "sampling_date = '2025-10-01' where id = 2",
        "assignment_id = 3 where id = 2",
        "sampling_date = null where id = 2",
        "number_of_fish_sampled = 0 where id = 2",
        "avg_weight_g = 0 where id = 2",
        "avg_weight_g = 50001 where id = 2",
    ),
    *spoilt(
        "health_individualfishobservation.values",
        "weight_g = 0",
        "weight_g = 50001",
        "length_cm = 0",
        "length_cm = 201",
    ),
    *spoilt(
        "health_mortalityrecord.values",
        '"count" = -1',
        "event_date = '2025-05-31T23:59Z'",
        "event_date = '2025-10-01T00:00Z'",
        "event_date = null",
    ),
    *spoilt(
        "health_treatment.values",
        "treatment_date = '2025-05-31T23:59Z' where id = 2",
        "treatment_date = '2025-10-01T00:00Z' where id = 2",
        "treatment_date = null where id = 2",
    ),
    *spoilt(
        "health_treatment.weighing",
        "sampling_event_id = null",
        "treatment_date = '2025-09-17T00:00Z'",
        "treatment_date = '2025-09-13T23:59Z'",
        "batch_id = 2",
    ),
    *spoilt(
        "infrastructure_container.values",
        "hall_id = null where id = 1",
        "area_id = null where id = 2",
        "volume_m3 = 0 where id = 1",
        "max_biomass_kg = null where id = 1",
    ),
    *spoilt("inventory_feedingevent.freshness", "feeding_date = '2025-09-22'"),
    *spoilt(
        "inventory_feedingevent.values",
        "amount_kg = -0.1 where id = 2",
        "amount_kg = null where id = 2",
        "batch_assignment_id = null where id = 2",
        "feeding_date = '2025-06-30' where id = 2",
        "feeding_date = '2025-10-01' where id = 2",
        "feeding_date = null where id = 2",
        "batch_assignment_id = 1 where id = 2",
    ),
    *spoilt("scenario.values", "initial_count = 0", "initial_weight = 0", "initial_weight = 50001"),
    *spoilt(
        "scenario_mortality_model_stage.values",
        "daily_rate_percent = -0.1",
        "weekly_rate_percent = -0.1",
        "daily_rate_percent = null, weekly_rate_percent = null",
        "lifecycle_stage = 'smolt'",
        "lifecycle_stage = null",
    ),
    *spoilt(
        "planning_plannedactivity.values",
        "activity_type = null",
        "due_date = null",
        "status = 'PLANNED'",
        "status = null",
        "status = 'COMPLETED'",
        "batch_id = null",
    ),
    *spoilt(
        "planning_activitytemplate.values",
        "name = ' ' where id = 3",
        "activity_type = null where id = 3",
        "is_active = null where id = 3",
        "trigger_type = 'MOON' where id = 3",
        "trigger_type = null where id = 3",
        "target_lifecycle_stage_id = null where id = 1",
        "day_offset = null where id = 2",
        "trigger_type = 'WEIGHT_THRESHOLD' where id = 1",
        "trigger_type = 'WEIGHT_THRESHOLD', weight_threshold_g = 0 where id = 1",
    ),
    *spoilt(
        "broodstock_breedingtraitpriority.values",
        "trait_name = ' '",
        "priority_weight = null",
        "priority_weight = -0.1",
        "priority_weight = 1.1",
    ),
    *spoilt(
        "scenario_fcr_model_stage_override.values",
        "fcr_value = -0.1",
        "fcr_value = 10.1",
        "min_weight_g = -1",
        "min_weight_g = 10",
        "max_weight_g = null",
    ),
    *spoilt(
        "scenario_fcrmodelstage.values",
        "fcr_value = -0.1",
        "fcr_value = 10.1",
        "model_id = null",
        "stage_id = null",
    ),
    *spoilt(
        "scenario_mortalitymodel.values", "rate = -0.1", "rate = 100.1", "frequency = 'yearly'"
    ),
    *spoilt("scenario_scenariomodelchange.values", "change_day = 0", "new_tgc_model_id = null"),
    *spoilt(
        "scenario_stage_constraint.values",
        "min_weight_g = -1",
        "min_weight_g = 10",
        "max_weight_g = null",
        "lifecycle_stage = 'smolt'",
    ),
    *spoilt(
        "scenario_temperaturereading.values",
        "temperature = -2.1",
        "temperature = 30.1",
        "temperature = null",
        "day_number = -1",
    ),
    Corruption(
        "scenario_temperaturereading.values",
        "insert into scenario_temperaturereading (reading_id, profile_id, day_number, temperature) "
        "values (2, 1, 1, 9)",
    ),
    *spoilt(
        "scenario_tgc_model_stage.values",
        "tgc_value = -0.1",
        "tgc_value = 6.1",
        "lifecycle_stage = 'smolt'",
    ),
    *spoilt("scenario_tgcmodel.values", "tgc_value = 0", "tgc_value = 6.1", "tgc_value = null"),
]

SHAPES = {id_: expectation for id_, expectation in RAW.items() if expectation.type == SHAPE_TYPE}
CORRUPTIONS = [*keys_spoilt(), *references_spoilt(), *OTHER_CORRUPTIONS]
