"""What `verify` compares of plans and forecast: which tables, which columns, how near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from anchorline.comparison import (
    Rule,
    TableComparison,
    compare_tables,
    days_of,
    exact,
    published,
    unrounded,
)
from anchorline.reference.forecast import DECIMALS
from anchorline.reference.tables import UNKNOWN, IntArray


@dataclass(frozen=True)
class OutlookTable:
    """A table of plans or forecast, as `verify` reads and compares it.

    `columns` are those that are read, each with its kind (`anchorline.reference.inputs`); `key`
    are the columns, of ids and days, that tell rows apart; `shown` those that name a row.
    """

    name: str
    layer: str
    columns: str
    rules: Sequence[Rule]
    key: Sequence[str]
    shown: Sequence[str]


TABLES: Final = (
    OutlookTable(
        name="int_plan_days",
        layer="intermediate",
        columns=(
            "#batch_id #scenario_id @state_date #lifecycle_stage_id #population %weight_g "
            "$plan_source ?is_in_force ?is_pinned"
        ),
        rules=[
            *exact("lifecycle_stage_id", "population", "plan_source", "is_in_force", "is_pinned"),
            *unrounded("weight_g"),
        ],
        key=["batch_id", "scenario_id", "state_date"],
        shown=["batch_id", "scenario_id", "state_date"],
    ),
    OutlookTable(
        name="int_forecast_days",
        layer="intermediate",
        columns=(
            "#assignment_id #batch_id @state_date #days_ahead #lifecycle_stage_id #population "
            "%root %root_variance"
        ),
        rules=[
            *exact("batch_id", "days_ahead", "lifecycle_stage_id", "population"),
            *unrounded("root", "root_variance"),
        ],
        key=["assignment_id", "state_date"],
        shown=["assignment_id", "state_date"],
    ),
    OutlookTable(
        name="forecast_daily",
        layer="marts",
        columns=(
            "#assignment_id #batch_id $batch_number #container_id $container_name @computed_date "
            "@state_date #days_ahead #lifecycle_stage_id $lifecycle_stage_name %forecast_weight_g "
            "%forecast_weight_low_g %forecast_weight_high_g #population %forecast_biomass_kg"
        ),
        rules=[
            *exact("batch_id", "batch_number", "container_id", "container_name"),
            *exact("computed_date", "days_ahead", "lifecycle_stage_id", "lifecycle_stage_name"),
            *published(DECIMALS, "forecast_weight_g", "forecast_weight_low_g"),
            *published(DECIMALS, "forecast_weight_high_g"),
            *exact("population"),
            *published(DECIMALS, "forecast_biomass_kg"),
        ],
        key=["assignment_id", "state_date"],
        shown=["batch_number", "assignment_id", "state_date"],
    ),
    OutlookTable(
        name="container_forecast",
        layer="marts",
        columns=(
            "#assignment_id #batch_id $batch_number #container_id $container_name @computed_date "
            "@last_forecast_date #lifecycle_stage_id $lifecycle_stage_name %smoothed_weight_g "
            "#population %smoothed_biomass_kg %temperature_bias_c %harvest_weight_g "
            "@expected_harvest_date @harvest_date_p10 @harvest_date_p90 "
            "%expected_harvest_weight_g #expected_harvest_population %expected_harvest_biomass_kg "
            "@planned_harvest_date #harvest_days_behind_plan %transfer_weight_g "
            "@expected_transfer_date %expected_transfer_weight_g #expected_transfer_population "
            "%expected_transfer_biomass_kg ?has_planned_harvest ?has_planned_transfer "
            "?needs_attention $forecast_tier"
        ),
        rules=[
            *exact("batch_id", "batch_number", "container_id", "container_name"),
            *exact("computed_date", "last_forecast_date", "lifecycle_stage_id"),
            *exact("lifecycle_stage_name", "population"),
            *published(DECIMALS, "smoothed_weight_g", "smoothed_biomass_kg"),
            *published(DECIMALS, "temperature_bias_c", "harvest_weight_g"),
            *exact("expected_harvest_date", "harvest_date_p10", "harvest_date_p90"),
            *published(DECIMALS, "expected_harvest_weight_g", "expected_harvest_biomass_kg"),
            *exact("expected_harvest_population", "planned_harvest_date"),
            *exact("harvest_days_behind_plan", "expected_transfer_date"),
            *published(DECIMALS, "transfer_weight_g", "expected_transfer_weight_g"),
            *published(DECIMALS, "expected_transfer_biomass_kg"),
            *exact("expected_transfer_population", "has_planned_harvest"),
            *exact("has_planned_transfer", "needs_attention", "forecast_tier"),
        ],
        key=["assignment_id"],
        shown=["batch_number", "assignment_id", "computed_date"],
    ),
)
"""The tables, in the order in which they are told."""


def compare_outlook(
    ours: Mapping[str, pd.DataFrame], tables: Mapping[str, pd.DataFrame], limit: int
) -> list[TableComparison]:
    """Compare what the reference computed with the tables that were read, by name."""
    found = []
    for table in TABLES:
        if table.name in tables:
            a, b = as_read(ours[table.name]), tables[table.name]
            keys = row_keys(a, b, table.key)
            found.append(compare_tables(table.name, a, b, keys, table.rules, table.shown, limit))
    return found


def row_keys(
    ours: pd.DataFrame, theirs: pd.DataFrame, columns: Sequence[str]
) -> tuple[IntArray, IntArray]:
    """Return one whole number per row of both frames, equal where the columns are."""
    both = pd.concat([ours[[*columns]], theirs[[*columns]]], ignore_index=True)
    number = np.asarray(both.groupby([*columns], sort=False).ngroup().to_numpy(), dtype=np.int64)
    return number[: len(ours)], number[len(ours) :]


def as_read(frame: pd.DataFrame) -> pd.DataFrame:
    """Let dates and nullable whole numbers be as they are read: int64, null as `UNKNOWN`."""
    dates = frame.select_dtypes("datetime").columns
    whole = frame.select_dtypes("Int64").columns
    return frame.assign(
        **{str(name): days_of(frame[name]) for name in dates},
        **{str(name): frame[name].to_numpy(dtype=np.int64, na_value=UNKNOWN) for name in whole},
    )
