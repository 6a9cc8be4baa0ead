"""The figures of the start page and of the cards: one row per batch and container."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final

from anchorline.report.data import BatchData
from anchorline.report.packing import Table

CURVE_POINTS: Final = 60
"""Points of a small chart on the start page, which is about as many pixels wide as twice that."""


@dataclass(frozen=True)
class Summary:
    """The newest state with fish, how far it is from the plan, and when it will be ready.

    ``container_id`` is None for the whole batch. Days are days since 1970-01-01. The dates of a
    batch are those of its containers: the first and the last day on which one of them is expected
    to have harvest size, the earliest day of the 10 % and the latest of the 90 % quantile; None
    where the forecast of one does not reach it.
    """

    container_id: int | None
    first_date: int
    state_date: int
    lifecycle_stage_name: str | None
    avg_weight_g: float | None
    population: int
    biomass_kg: float | None
    confidence: float | None
    has_fish: bool
    last_anchor_date: int | None
    days_with_plan: int
    variance_percent: float | None
    mean_variance_percent: float | None
    largest_variance_percent: float | None
    largest_variance_date: int | None
    days_ahead: float | None
    harvest_weight_g: float | None
    harvest_date_p10: int | None
    first_harvest_date: int | None
    last_harvest_date: int | None
    harvest_date_p90: int | None
    planned_harvest_date: int | None


def summaries(data: BatchData) -> list[Summary]:
    """Return the figures of the batch, then those of its containers in their order."""
    tables = data.tables
    whole = tables["batch_days"].cells
    if not whole["state_date"]:
        return []
    last_date = whole["state_date"][-1]
    plan = dict(
        zip(
            tables["variance"].cells["state_date"],
            tables["variance"].cells["scenario_weight_g"],
            strict=True,
        )
    )
    ahead = dict(
        zip(
            tables["variance"].cells["state_date"],
            tables["variance"].cells["days_ahead"],
            strict=True,
        )
    )
    anchors = _grouped(tables["anchors"])
    forecasts = _grouped(tables["eta"])
    used = [row for rows in anchors.values() for row in rows if row["anchor_status"] == "used"]
    found = [
        _summary(
            None,
            _rows(tables["batch_days"]),
            last_date,
            plan,
            used,
            _rows(tables["eta"]),
            confidence="lowest_weight_confidence",
            days_ahead=ahead,
        )
    ]
    days = _grouped(tables["container_days"])
    found += [
        _summary(
            container.id,
            days[container.id],
            last_date,
            plan,
            [row for row in anchors[container.id] if row["anchor_status"] == "used"],
            forecasts[container.id],
            confidence="weight_confidence",
            days_ahead={},
        )
        for container in data.containers
    ]
    return found


def curves(data: BatchData) -> dict[str, list[list[float | None]]]:
    """Return a few points of the actual weight and of the plan in force, for a small chart."""
    whole = data.tables["batch_days"].cells
    plan = data.tables["variance"].cells
    return {
        "actual": _thinned(whole["state_date"], whole["avg_weight_g"]),
        "scenario": _thinned(plan["state_date"], plan["scenario_weight_g"]),
    }


def listed(summary: Summary) -> dict[str, Any]:
    """Return a summary as the page reads it."""
    return asdict(summary)


def _summary(
    container_id: int | None,
    days: Sequence[Mapping[str, Any]],
    last_date: Any,
    plan: Mapping[Any, Any],
    anchors: Sequence[Mapping[str, Any]],
    forecasts: Sequence[Mapping[str, Any]],
    *,
    confidence: str,
    days_ahead: Mapping[Any, Any],
) -> Summary:
    with_fish = [row for row in days if row["population"]]
    last = (with_fish or days)[-1]
    percents = [
        (100 * (row["avg_weight_g"] - planned) / planned, row["state_date"])
        for row in days
        if row["avg_weight_g"] is not None and (planned := plan.get(row["state_date"]))
    ]
    largest = max(percents, key=lambda percent: abs(percent[0]), default=None)
    current = next((percent for percent, on in percents if on == last["state_date"]), None)
    expected = [row["expected_harvest_date"] for row in forecasts]
    return Summary(
        container_id=container_id,
        first_date=days[0]["state_date"],
        state_date=last["state_date"],
        lifecycle_stage_name=last["lifecycle_stage_name"],
        avg_weight_g=last["avg_weight_g"],
        population=round(last["population"]),
        biomass_kg=last["biomass_kg"],
        confidence=last[confidence],
        has_fish=bool(with_fish) and last["state_date"] == last_date,
        last_anchor_date=max((row["anchor_date"] for row in anchors), default=None),
        days_with_plan=len(percents),
        variance_percent=_rounded(current),
        mean_variance_percent=_rounded(
            fmean(abs(percent) for percent, _ in percents) if percents else None
        ),
        largest_variance_percent=_rounded(largest[0] if largest else None),
        largest_variance_date=largest[1] if largest else None,
        days_ahead=days_ahead.get(last["state_date"]),
        harvest_weight_g=max((row["harvest_weight_g"] for row in forecasts), default=None),
        harvest_date_p10=_all_or_none(min, [row["harvest_date_p10"] for row in forecasts]),
        first_harvest_date=_all_or_none(min, expected),
        last_harvest_date=_all_or_none(max, expected),
        harvest_date_p90=_all_or_none(max, [row["harvest_date_p90"] for row in forecasts]),
        planned_harvest_date=_all_or_none(min, [row["planned_harvest_date"] for row in forecasts]),
    )


def _rows(table: Table) -> list[dict[str, Any]]:
    names = list(table.cells)
    return [dict(zip(names, row, strict=True)) for row in zip(*table.cells.values(), strict=True)]


def _grouped(table: Table) -> dict[Any, list[dict[str, Any]]]:
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in _rows(table):
        groups[row["container_id"]].append(row)
    return groups


def _all_or_none(choose: Any, dates: Sequence[int | None]) -> int | None:
    known = [found for found in dates if found is not None]
    return choose(known) if known and len(known) == len(dates) else None


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 2)


def _thinned(dates: Sequence[Any], weights: Sequence[Any]) -> list[list[float | None]]:
    """Keep the first and the last day, and every n-th between."""
    every = max(1, -(-len(dates) // CURVE_POINTS))
    kept = [
        [found, weight if weight is None else round(weight, 2)]
        for place, (found, weight) in enumerate(zip(dates, weights, strict=True))
        if place % every == 0 or place == len(dates) - 1
    ]
    return [point for point in kept if point[1] is not None]
