"""A group of lineages (`verify.groups`): all that the reference computes of it, and is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from anchorline.comparison import TableComparison
from anchorline.reference.forecast import forecasts
from anchorline.reference.inputs import Farm, Parameters, Seeds
from anchorline.reference.plans import plan_days
from anchorline.reference.smoothing import Smoothed, smoothed_series
from anchorline.reference.states import Result, daily_assignment_states
from anchorline.reference.temperatures import DaySums
from anchorline.verify import outlook, smoothed, states
from anchorline.verify.states import ENGINE, STATES

SHOWN: Final[Mapping[str, Sequence[str]]] = {
    STATES: states.SHOWN,
    **{table.name: table.shown for table in smoothed.TABLES},
    **{table.name: table.shown for table in outlook.TABLES},
}
"""The columns that name a row, by table, in the order in which tables are told."""


@dataclass(frozen=True)
class Computed:
    """What the reference computes of a farm or a part of one; `outlook` by name of the table."""

    result: Result
    smoothed: Smoothed
    outlook: Mapping[str, pd.DataFrame]


def compute(farm: Farm, seeds: Seeds, parameters: Parameters, sums: DaySums | None) -> Computed:
    """Run the whole reference; `sums` as of `daily_assignment_states`."""
    result = daily_assignment_states(farm, seeds, parameters, sums)
    series = smoothed_series(result, seeds)
    plans = plan_days(farm, seeds, parameters, result)
    ahead = forecasts(farm, seeds, parameters, result, series, plans)
    return Computed(
        result,
        series,
        {
            "int_plan_days": plans,
            "int_forecast_days": ahead.days,
            "forecast_daily": ahead.daily,
            "container_forecast": ahead.containers,
        },
    )


def compare_group(
    computed: Computed, tables: Mapping[str, pd.DataFrame], limit: int
) -> list[TableComparison]:
    """Compare what was computed with the tables that were read, by name."""
    return [
        states.compare_states(computed.result, tables[STATES], tables[ENGINE], limit),
        *smoothed.compare_smoothed(computed.smoothed, tables, limit),
        *outlook.compare_outlook(computed.outlook, tables, limit),
    ]


def of_batches(
    computed: Computed,
    tables: Mapping[str, pd.DataFrame],
    assignments: pd.DataFrame,
    wanted: Sequence[int],
) -> tuple[Computed, dict[str, pd.DataFrame]]:
    """Return what belongs to some batches, of what was computed and what was read."""
    of_batch = assignments["assignment_id"][assignments["batch_id"].isin(wanted)]
    result = computed.result
    kept = result.states["assignment_id"].isin(of_batch)
    mine = Computed(
        replace(
            result,
            states=result.states[kept].reset_index(drop=True),
            unrounded=result.unrounded[kept].reset_index(drop=True),
        ),
        smoothed.of_batches(computed.smoothed, of_batch, wanted),
        {
            name: frame[frame["batch_id"].isin(wanted)].reset_index(drop=True)
            for name, frame in computed.outlook.items()
        },
    )
    return mine, {
        name: table[
            table["assignment_id"].isin(of_batch)
            if "assignment_id" in table
            else table["batch_id"].isin(wanted)
        ]
        for name, table in tables.items()
    }
