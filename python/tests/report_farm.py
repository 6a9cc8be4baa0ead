"""Batches made up for the growth page: any number of containers and days, any names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

from anchorline.report.data import EPOCH, QUERIES, Batch, BatchData, Name
from anchorline.report.packing import Cell, Table

START = date(2024, 1, 1)


def made_up(
    days: int,
    containers: int,
    *,
    batch_id: int = 1,
    batch_number: str = "MADE-UP",
    names: Sequence[str] = (),
    has_plan: bool = True,
) -> BatchData:
    """Return a batch that grows by about 0.5 % a day, each container as its water and luck will.

    Of each container there is a sample every 30 days.
    """
    chance = Random(1)  # noqa: S311
    first = (START - EPOCH).days
    named = [
        Name(number, names[number - 1] if number <= len(names) else f"Pen {number}")
        for number in range(1, containers + 1)
    ]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in QUERIES}
    weights = dict.fromkeys((container.id for container in named), 50.0)
    counts = dict.fromkeys(weights, 100_000)
    for day in range(days):
        weight = 50 * 1.005**day
        own = {"state_date": first + day, "avg_weight_g": round(weight, 4), "population": 1000}
        about = {
            **own,
            "lifecycle_stage_name": "Post-Smolt",
            "biomass_kg": round(weight, 2),
            "temp_c": 8 + day % 5,
            "mortality_count": day % 7,
            "feed_kg": 3.5,
        }
        rows["batch_days"].append(
            {
                **about,
                "population": 1000 * containers,
                "biomass_kg": round(weight * containers, 2),
                "container_count": containers,
                "smallest_container_weight_g": round(weight, 4),
                "largest_container_weight_g": round(weight, 4),
                "anchor_count": int(day % 30 == 0),
                "lowest_weight_confidence": 0.6,
                "is_provisional": day == days - 1,
            }
        )
        if has_plan:
            rows["scenario"].append({**about, "scenario_id": 7, "avg_weight_g": weight * 0.9})
            rows["variance"].append(
                {
                    "state_date": first + day,
                    "scenario_weight_g": weight * 0.9,
                    "weight_variance_percent": 11.11,
                    "days_ahead": 21.1,
                }
            )
        for container in (None, *named):
            key = container and container.id
            its = weight if container is None else round(weights[container.id], 4)
            rows["smoothed"].append(
                {
                    "container_id": key,
                    "state_date": first + day,
                    "avg_weight_g": its,
                    "weight_low_g": round(its * 0.9, 4),
                    "weight_high_g": round(its * 1.1, 4),
                    "source": "interpolated",
                }
            )
            if container is None:
                continue
            temp_c, deaths = round(chance.gauss(9, 2), 2), chance.randrange(60)
            weights[container.id] *= 1 + max(0.0, temp_c) * 0.005 / 9
            counts[container.id] -= deaths
            rows["container_days"].append(
                {
                    **about,
                    "container_id": key,
                    "avg_weight_g": its,
                    "population": counts[container.id],
                    "biomass_kg": round(counts[container.id] * its / 1000, 2),
                    "temp_c": temp_c,
                    "mortality_count": deaths,
                    "feed_kg": round(its * chance.uniform(0.8, 1.2), 2),
                    "temp_source": "measured" if day % 3 else "interpolated",
                    "temp_confidence": 1.0 if day % 3 else 0.7,
                    "mortality_source": "actual",
                    "mortality_confidence": 1.0,
                    "feed_source": "actual",
                    "feed_confidence": 1.0,
                    "weight_source": "tgc_computed",
                    "weight_confidence": 0.6,
                    "is_provisional": day == days - 1,
                    "is_arrival_inferred": False,
                }
            )
            if day % 30 == 0:
                rows["sample"].append(
                    {
                        "container_id": key,
                        "state_date": first + day,
                        "sample_type": "growth_sample",
                        "avg_weight_g": its,
                        "std_deviation_weight_g": round(its / 5, 4),
                        "sample_size": 50,
                        "is_anchor": True,
                    }
                )
    tables = {
        name: _table(name, sorted(found, key=lambda row: _order(name, row)))
        for name, found in rows.items()
    }
    batch = Batch(
        batch_id=batch_id,
        batch_number=batch_number,
        batch_status="ACTIVE",
        batch_type="STANDARD",
        species_name="Atlantic Salmon",
        scenario_id=7 if has_plan else None,
        scenario_name="Plan" if has_plan else None,
        scenario_source="first_scenario" if has_plan else "baseline",
        start_date=START,
        expected_end_date=START + timedelta(days=900),
        actual_end_date=None,
    )
    return BatchData(batch, named if days else [], [Name(7, "Plan")] if has_plan else [], tables)


def _order(name: str, row: dict[str, Any]) -> list[Any]:
    """Order rows as the query does, nulls first."""
    keys = [row.get(column) for column in QUERIES[name].order]
    return [(key is not None, key) for key in keys]


def _table(name: str, rows: Sequence[dict[str, Any]]) -> Table:
    columns = QUERIES[name].columns
    cells: dict[str, list[Cell]] = {
        column.name: [row.get(column.name) for row in rows] for column in columns
    }
    return Table(columns, cells)
