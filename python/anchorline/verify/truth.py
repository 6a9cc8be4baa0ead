"""How far the published states of a demo farm are from its truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
from psycopg import Connection

from anchorline import settings
from anchorline.errors import AnchorlineError
from anchorline.reference.tables import IntArray
from anchorline.verify.reading import read, stream, whole_numbers
from anchorline.verify.spool import Spool

ERROR_CLASSES: Final = (
    ("no anchor yet", -1, -1),
    ("1 to 7", 1, 7),
    ("8 to 14", 8, 14),
    ("15 to 30", 15, 30),
    ("31 to 60", 31, 60),
    ("over 60", 61, 1 << 30),
)
"""Classes of days since the last anchor: name, first and last day."""

_TRUTH: Final = "#assignment_id @state_date #population %weight_g"
_STATES: Final = "#assignment_id @state_date #population %avg_weight_g $anchor_type"
_ERRORS: Final = ("weight_percent", "number_percent", "biomass_percent")
ASSIGNMENTS_AT_A_TIME: Final = 500
"""How many assignments, by their ids, are held in memory."""


def read_truth(connection: Connection) -> pd.DataFrame:
    """Read the true states of a demo farm: assignment_id, state_date, population, weight_g.

    Raises AnchorlineError where there is no truth.
    """
    _require_truth(connection)
    return read(connection, "demo_truth", "daily_states", _TRUTH)


def truth_errors(connection: Connection, target: str) -> pd.DataFrame:
    """Return how far the published states are from the demo farm's truth.

    One row per class of days since the assignment's last anchor, over days without anchor and
    with true fish: days_since_anchor, states, and the mean absolute percentage error of weight,
    number and biomass. A demo farm only: raises AnchorlineError where there is no truth.
    """
    _require_truth(connection)
    marts = settings.layer_schema("marts", target)
    with TemporaryDirectory(prefix="anchorline_") as folder:
        spool = Spool(Path(folder))
        states = stream(connection, marts, "daily_assignment_states", _STATES)
        spool.write("states", _STATES, _by_assignment(states))
        truth = stream(connection, "demo_truth", "daily_states", _TRUTH)
        spool.write("truth", _TRUTH, _by_assignment(truth))
        sums = [
            error_sums(spool.frame("states", part), spool.frame("truth", part))
            for part in spool.parts() or [0]
        ]
    return _means(sums)


def error_table(states: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return mean absolute percentage errors by days since the last anchor; see `truth_errors`.

    The error of a state is `100 * |estimate - truth| / truth` [%]; `state_date` is in days.
    """
    return _means([error_sums(states, truth)])


def error_sums(states: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return per class the number of states and the sums of their absolute errors [%]."""
    rows = states.sort_values(["assignment_id", "state_date"]).reset_index(drop=True)
    anchored = rows["anchor_type"].notna()
    last = rows["state_date"].where(anchored).groupby(rows["assignment_id"]).ffill()
    rows = rows.assign(since=(rows["state_date"] - last).fillna(-1).astype("int64"))
    rows = rows[~anchored].merge(
        truth, on=["assignment_id", "state_date"], suffixes=("", "_true"), how="inner"
    )
    rows = rows[(rows["population_true"] > 0) & (rows["weight_g"] > 0)]
    true_biomass = rows["population_true"] * rows["weight_g"]
    errors = pd.DataFrame(
        {
            "since": rows["since"],
            "weight_percent": 100 * (rows["avg_weight_g"] / rows["weight_g"] - 1).abs(),
            "number_percent": 100 * (rows["population"] / rows["population_true"] - 1).abs(),
            "biomass_percent": 100
            * (rows["population"] * rows["avg_weight_g"] / true_biomass - 1).abs(),
        }
    )
    lines = []
    for name, low, high in (*ERROR_CLASSES, ("all", -1, 1 << 30)):
        of_class = errors[(errors["since"] >= low) & (errors["since"] <= high)]
        sums = of_class[[*_ERRORS]].sum().to_dict()
        lines.append({"days_since_anchor": name, "states": len(of_class), **sums})
    return pd.DataFrame(lines)


def _means(sums: list[pd.DataFrame]) -> pd.DataFrame:
    """Turn sums of disjoint states into means; NaN for a class without states."""
    total = pd.concat(sums).groupby("days_since_anchor", sort=False).sum()
    total[[*_ERRORS]] = total[[*_ERRORS]].div(total["states"].where(total["states"] > 0), axis=0)
    return total.reset_index()


def _by_assignment(tables: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, IntArray, IntArray]]:
    for table in tables:
        assignment_id = whole_numbers(table, "assignment_id")
        yield table, np.arange(len(table)), assignment_id // ASSIGNMENTS_AT_A_TIME


def _require_truth(connection: Connection) -> None:
    has_truth = connection.execute("select to_regclass('demo_truth.daily_states')").fetchone()
    if has_truth is None or has_truth[0] is None:
        raise AnchorlineError(
            f"Database {connection.info.dbname} holds no demo farm, and only of a demo farm the "
            "truth is known. Load one: `anchorline demo load`."
        )
