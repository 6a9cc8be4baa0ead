"""What `verify` compares of the smoothed series: which tables, which columns, how near."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

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
from anchorline.reference.anchors import TYPES
from anchorline.reference.smoothing import DECIMALS, Smoothed
from anchorline.reference.tables import IntArray, day_key, ints

_WEIGHTS: Final = ("smoothed_weight_g", "smoothed_weight_low_g", "smoothed_weight_high_g")


@dataclass(frozen=True)
class SmoothedTable:
    """A table of the smoothed series, as `verify` reads and compares it.

    `columns` are those that are read, each with its kind (`anchorline.reference.inputs`); `key`
    makes one whole number of what a row is about; `shown` are the columns that name a row.
    """

    name: str
    layer: str
    columns: str
    rules: Sequence[Rule]
    key: Callable[[pd.DataFrame], IntArray]
    shown: Sequence[str]
    ours: Callable[[Smoothed], pd.DataFrame]


def _measurement_key(rows: pd.DataFrame) -> IntArray:
    kind = pd.Categorical(rows["anchor_type"], categories=list(TYPES)).codes
    return day_key(ints(rows, "record_id"), kind.astype("int64"))


TABLES: Final = (
    SmoothedTable(
        name="daily_assignment_smoothed",
        layer="marts",
        columns=(
            "#assignment_id @state_date #batch_id $batch_number #container_id $container_name "
            "%smoothed_weight_g %smoothed_weight_low_g %smoothed_weight_high_g #population "
            "%smoothed_biomass_kg ?is_observed #days_since_last_observation "
            "#days_to_next_observation"
        ),
        rules=[
            *exact("batch_id", "batch_number", "container_id", "container_name", "population"),
            *exact("is_observed", "days_since_last_observation", "days_to_next_observation"),
            *published(DECIMALS, *_WEIGHTS, "smoothed_biomass_kg"),
        ],
        key=lambda rows: day_key(ints(rows, "assignment_id"), ints(rows, "state_date")),
        shown=["batch_number", "assignment_id", "state_date"],
        ours=lambda smoothed: smoothed.days,
    ),
    SmoothedTable(
        name="daily_batch_smoothed",
        layer="marts",
        columns=(
            "#batch_id $batch_number @state_date %smoothed_weight_g %smoothed_weight_low_g "
            "%smoothed_weight_high_g #population %smoothed_biomass_kg #container_count "
            "#observed_container_count"
        ),
        rules=[
            *exact("batch_number", "population", "container_count", "observed_container_count"),
            *published(DECIMALS, *_WEIGHTS),
            Rule(
                "smoothed_biomass_kg",
                decimals=DECIMALS["smoothed_biomass_kg"],
                terms="container_count",
            ),
        ],
        key=lambda rows: day_key(ints(rows, "batch_id"), ints(rows, "state_date")),
        shown=["batch_number", "state_date"],
        ours=lambda smoothed: smoothed.batch_days,
    ),
    SmoothedTable(
        name="weight_anchors",
        layer="marts",
        columns=(
            "$anchor_type #record_id #assignment_id @anchor_date $anchor_status %innovation "
            "?is_suspect ?is_drifting"
        ),
        rules=[
            *exact("assignment_id", "anchor_date", "anchor_status"),
            *published(DECIMALS, "innovation"),
            *exact("is_suspect", "is_drifting"),
        ],
        key=_measurement_key,
        shown=["anchor_type", "record_id", "anchor_date"],
        ours=lambda smoothed: smoothed.anchors,
    ),
    SmoothedTable(
        name="int_weight_filter",
        layer="intermediate",
        columns=(
            "#assignment_id #observation_index %degree_days %root_drift %prior_root "
            "%prior_variance %filtered_root %filtered_variance %innovation %smoothed_root "
            "%smoothed_variance %smoothed_covariance"
        ),
        rules=[
            *unrounded("degree_days", "root_drift", "prior_root", scale=1.0),
            *unrounded("prior_variance"),
            *unrounded("filtered_root", scale=1.0),
            *unrounded("filtered_variance"),
            *unrounded("innovation", "smoothed_root", scale=1.0),
            *unrounded("smoothed_variance", "smoothed_covariance"),
        ],
        key=lambda rows: day_key(ints(rows, "assignment_id"), ints(rows, "observation_index")),
        shown=["assignment_id", "observation_index"],
        ours=lambda smoothed: smoothed.weight_filter,
    ),
)
"""The tables, in the order in which they are told."""


def compare_smoothed(
    smoothed: Smoothed, tables: Mapping[str, pd.DataFrame], limit: int
) -> list[TableComparison]:
    """Compare the smoothed series with the tables that were read, by name."""
    found = []
    for table in TABLES:
        if table.name in tables:
            ours, theirs = _with_days(table.ours(smoothed)), tables[table.name]
            keys = table.key(ours), table.key(theirs)
            found.append(
                compare_tables(table.name, ours, theirs, keys, table.rules, table.shown, limit)
            )
    return found


def of_batches(smoothed: Smoothed, assignment_ids: pd.Series, batch_ids: Sequence[int]) -> Smoothed:
    """Return what belongs to some batches, of whose assignments the ids are given."""

    def kept(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["assignment_id"].isin(assignment_ids)].reset_index(drop=True)

    of_batch = smoothed.batch_days["batch_id"].isin(batch_ids)
    return Smoothed(
        days=kept(smoothed.days),
        batch_days=smoothed.batch_days[of_batch].reset_index(drop=True),
        anchors=kept(smoothed.anchors),
        weight_filter=kept(smoothed.weight_filter),
        unrounded=kept(smoothed.unrounded),
    )


def _with_days(frame: pd.DataFrame) -> pd.DataFrame:
    """Let dates be days since 1970-01-01, as they are read."""
    dates = frame.select_dtypes("datetime").columns
    return frame.assign(**{str(name): days_of(frame[name]) for name in dates})
