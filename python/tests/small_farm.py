"""Farms small enough to be followed in the head, as rows of staging views."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from anchorline.reference import Farm, Parameters, Result, Seeds, daily_assignment_states

SEEDS = Path(__file__).parents[2] / "seeds"
FIRST = date(2024, 2, 27)  # the leap day is the third day


def day(number: int) -> date:
    """Return a day by its number; the batch's first day is 1."""
    return FIRST + timedelta(days=number - 1)


def read_seeds() -> Seeds:
    """Read the seeds of the project."""
    names = Seeds.__dataclass_fields__
    return Seeds(**{name: pd.read_csv(SEEDS / f"{name}.csv") for name in names})


class SmallFarm:
    """Rows of staging views, added one by one. Water of 0 °C: nothing grows."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.add(
            "lifecycle_stages",
            *(
                {
                    "lifecycle_stage_id": number,
                    "species_id": 1,
                    "lifecycle_stage_name": name,
                    "lifecycle_stage_key": name.lower(),
                    "stage_order": number,
                    "expected_weight_min_g": low,
                    "expected_weight_max_g": high,
                }
                for number, name, low, high in (
                    (1, "Parr", 10, 100),
                    (2, "Smolt", 100, 500),
                    (3, "Adult", 500, None),
                )
            ),
        )
        self.add(
            "batches", {"batch_id": 1, "batch_number": "B1", "species_id": 1, "start_date": FIRST}
        )
        self.add("environmental_parameters", {"parameter_id": 1, "parameter_key": "temperature"})
        self.add("tgc_models", {"tgc_model_id": 1, "tgc_value": 3, "temperature_profile_id": 1})
        self.add("mortality_models", {"mortality_model_id": 1, "rate_percent": 0})
        self.add(
            "temperature_profile_days",
            {"temperature_profile_id": 1, "day_number": 1, "temp_c": 0.0},
        )
        self.add(
            "scenarios",
            {"scenario_id": 7, "batch_id": 1, "tgc_model_id": 1, "mortality_model_id": 1},
        )

    def add(self, view: str, *rows: dict[str, Any]) -> None:
        self.rows.setdefault(view, []).extend(rows)

    def stay(
        self, number: int, first: int, departs: int | None, count: int = 0, **others: Any
    ) -> None:
        self.add(
            "assignments",
            {
                "assignment_id": number,
                "batch_id": 1,
                "container_id": number,
                "lifecycle_stage_id": 1,
                "is_active": departs is None,
                "assignment_date": day(first),
                "departure_date": None if departs is None else day(departs),
                "population_count": count,
                "avg_weight_g": 50.0,
            }
            | others,
        )

    def transfer(
        self, number: int, source: int, dest: int, on: int, count: int, **others: Any
    ) -> None:
        self.add(
            "transfer_actions",
            {
                "transfer_action_id": number,
                "source_assignment_id": source,
                "dest_assignment_id": dest,
                "transfer_status": "COMPLETED",
                "actual_execution_date": day(on),
                "transferred_count": count,
                "mortality_during_transfer": 0,
            }
            | others,
        )

    def deaths(self, number: int, stay: int | None, on: int, count: int) -> None:
        self.add(
            "mortality_events",
            {
                "mortality_event_id": number,
                "batch_id": 1,
                "assignment_id": stay,
                "event_date": day(on),
                "death_count": count,
            },
        )

    def sample(self, number: int, stay: int, on: int, weight_g: float, size: int = 10) -> None:
        self.add(
            "growth_samples",
            {
                "growth_sample_id": number,
                "assignment_id": stay,
                "sample_date": day(on),
                "sample_size": size,
                "avg_weight_g": weight_g,
            },
        )

    def farm(self) -> Farm:
        return Farm.from_frames({view: pd.DataFrame(rows) for view, rows in self.rows.items()})

    def compute(self, seeds: Seeds, until: int = 6, **others: Any) -> Result:
        parameters = Parameters(as_of_date=day(until), today=day(until), **others)
        return daily_assignment_states(self.farm(), seeds, parameters)
