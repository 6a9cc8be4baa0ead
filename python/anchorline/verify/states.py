"""What `verify` compares of the daily states: which columns, how near."""

from __future__ import annotations

from typing import Final

import pandas as pd

from anchorline.comparison import Rule, TableComparison, compare_tables, days_of, exact, published
from anchorline.reference.states import DECIMALS, Result
from anchorline.reference.tables import IntArray, day_key, ints

STATES: Final = "daily_assignment_states"
ENGINE: Final = "int_growth_states"

EXACT: Final = (
    "batch_id",
    "batch_number",
    "container_id",
    "container_name",
    "lifecycle_stage_id",
    "lifecycle_stage_name",
    "day_number",
    "population",
    "mortality_count",
    "arrived_count",
    "departed_count",
    "count_adjustment",
    "anchor_type",
    "temp_source",
    "temp_confidence",
    "mortality_source",
    "mortality_confidence",
    "feed_source",
    "feed_confidence",
    "weight_source",
    "weight_confidence",
    "fcr_source",
    "fcr_confidence",
    "is_provisional",
    "is_arrival_inferred",
    "scenario_id",
    "scenario_source",
    "planned_activity_id",
)
"""Columns of `daily_assignment_states` that must be equal."""
STATE_COLUMNS: Final = (
    "#assignment_id @state_date #batch_id $batch_number #container_id $container_name "
    "#lifecycle_stage_id $lifecycle_stage_name #day_number #population #mortality_count "
    "#arrived_count #departed_count #count_adjustment $anchor_type $temp_source %temp_confidence "
    "$mortality_source %mortality_confidence $feed_source %feed_confidence $weight_source "
    "%weight_confidence $fcr_source %fcr_confidence ?is_provisional ?is_arrival_inferred "
    "#scenario_id $scenario_source #planned_activity_id %avg_weight_g %biomass_kg %temp_c %feed_kg "
    "%observed_fcr %gain_kg"
)
ENGINE_COLUMNS: Final = "#assignment_id @state_date #population %weight_g"

SHOWN: Final = ("batch_number", "assignment_id", "state_date")
"""The columns that name a row."""


def compare_states(
    result: Result, mart: pd.DataFrame, engine: pd.DataFrame, limit: int
) -> TableComparison:
    """Compare what the reference computed with mart and engine.

    Counts, sources and names must be equal; published decimals within one unit of the last
    place; unrounded weights within 1e-9 of the weight.
    """
    ours = result.states.assign(
        weight_g=result.unrounded["weight_g"],
        engine_population=result.states["population"],
        state_date=days_of(result.states["state_date"]),
    )
    theirs = mart.merge(
        engine.rename(columns={"population": "engine_population"}),
        on=["assignment_id", "state_date"],
        how="left",
    )
    return compare_tables(
        STATES,
        ours,
        theirs,
        (_state_key(ours), _state_key(theirs)),
        [
            Rule("weight_g", scale=1e-300, label="weight_g (unrounded)"),
            Rule("engine_population", label="population (engine)"),
            *exact(*EXACT),
            *published(DECIMALS, *DECIMALS),
        ],
        SHOWN,
        limit,
    )


def _state_key(states: pd.DataFrame) -> IntArray:
    return day_key(ints(states, "assignment_id"), ints(states, "state_date"))
