"""Run the reference on a built database and compare, column by column.

Reading the database is all the I/O here; the comparison itself is a pure function of two frames.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from psycopg import Connection, sql
from pyarrow import csv

from anchorline import settings
from anchorline.comparison import (
    ColumnDifference,
    Rule,
    TableComparison,
    compare_tables,
    days_of,
    exact,
    published,
)
from anchorline.errors import AnchorlineError
from anchorline.raw.sources import project_variable
from anchorline.reference.forecast import forecasts
from anchorline.reference.inputs import COLUMNS, Farm, Parameters, Seeds
from anchorline.reference.plans import plan_days
from anchorline.reference.smoothing import smoothed_series
from anchorline.reference.states import DECIMALS, Result, daily_assignment_states
from anchorline.reference.tables import UNKNOWN, day_key, ints
from anchorline.verify_outlook import TABLES as OUTLOOK_TABLES
from anchorline.verify_outlook import compare_outlook
from anchorline.verify_smoothed import TABLES as SMOOTHED_TABLES
from anchorline.verify_smoothed import compare_smoothed, of_batches

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

_ARROW_TYPES: Final = {
    "#": pa.int64(),
    "@": pa.date32(),
    "%": pa.float64(),
    "?": pa.bool_(),
    "$": pa.string(),
}
_SEEDS: Final[Mapping[str, str]] = {
    "anchor_types": "$anchor_type #precedence %weight_confidence",
    "baseline_stages": (
        "$lifecycle_stage_key %tgc %power_law_coefficient %exponent_n %exponent_m "
        "%daily_mortality_rate_percent"
    ),
    "baseline_temperature_profile": "#day_number %temp_c",
    "confidence_by_source": "$quantity $source %confidence",
    "forecast_constants": "$constant %value",
    "growth_constants": "$constant %value",
    "planning_constants": "$constant %value",
    "plausible_ranges": "$quantity %min_value %max_value",
    "selection_factors": "$selection_method %mean_weight_factor",
    "smoothing_constants": "$constant %value",
    "stage_weight_caps": "$lifecycle_stage_key %max_weight_g",
}
_MART: Final = (
    "#assignment_id @state_date #batch_id $batch_number #container_id $container_name "
    "#lifecycle_stage_id $lifecycle_stage_name #day_number #population #mortality_count "
    "#arrived_count #departed_count #count_adjustment $anchor_type $temp_source %temp_confidence "
    "$mortality_source %mortality_confidence $feed_source %feed_confidence $weight_source "
    "%weight_confidence $fcr_source %fcr_confidence ?is_provisional ?is_arrival_inferred "
    "#scenario_id $scenario_source #planned_activity_id %avg_weight_g %biomass_kg %temp_c %feed_kg "
    "%observed_fcr %gain_kg"
)
_ENGINE: Final = "#assignment_id @state_date #population %weight_g"


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison: per column, the rows on one side only, the first that differ.

    `tables` are those of the smoothed series, the plans and the forecast; `missing` names what
    could not be compared because the database does not hold it.
    """

    state_count: int
    columns: list[ColumnDifference]
    only_in_database: int
    only_in_reference: int
    first_rows: pd.DataFrame
    rejected_only_in_database: pd.DataFrame
    rejected_only_in_reference: pd.DataFrame
    tables: Sequence[TableComparison] = ()
    missing: Sequence[str] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, and nothing is missing that should have been compared."""
        return (
            not any(column.differing for column in self.columns)
            and self.only_in_database == 0
            and self.only_in_reference == 0
            and self.rejected_only_in_database.empty
            and self.rejected_only_in_reference.empty
            and all(table.agrees for table in self.tables)
            and not self.missing
        )


def run_parameters(
    connection: Connection, target: str, variables: Mapping[str, Any] | None = None
) -> Parameters:
    """Return the vars that the database was built with.

    `variables` (the `--vars` of the build) win over dbt_project.yml. Without an as-of date, the
    day of the provisional states is taken, where there are some: a build of yesterday is
    compared as it was, not as it would be today.
    """
    given = dict(variables or {})
    names = [
        name for name in Parameters.__dataclass_fields__ if name not in ("as_of_date", "today")
    ]
    values: dict[str, Any] = {}
    for name in names:
        default = Parameters.__dataclass_fields__[name].default
        text = given.get(name)
        text = project_variable(name, str(default)) if text is None else str(text)
        values[name] = _as_type(name, text, default)
    zone = str(given.get("timezone") or project_variable("timezone", "UTC"))
    today = datetime.now(ZoneInfo(zone)).date()
    as_of = given.get("as_of_date") or project_variable("as_of_date", "") or None
    if as_of is None:
        row = connection.execute(
            sql.SQL("select max(state_date) from {} where is_provisional").format(
                sql.Identifier(settings.layer_schema("marts", target), "daily_assignment_states")
            )
        ).fetchone()
        as_of = row[0] if row and row[0] else today
    if not isinstance(as_of, date):
        as_of = date.fromisoformat(str(as_of))
    return Parameters(as_of_date=as_of, today=today, **values)


def read_farm(connection: Connection, target: str) -> Farm:
    """Read all staging views that the reference needs."""
    schema = settings.layer_schema("staging", target)
    return Farm.from_frames(
        {view: _read(connection, schema, f"stg_{view}", kinds) for view, kinds in COLUMNS.items()}
    )


def read_seeds(connection: Connection, target: str) -> Seeds:
    """Read the seeds of the growth model."""
    schema = settings.layer_schema("seeds", target)
    return Seeds(**{name: _read(connection, schema, name, kinds) for name, kinds in _SEEDS.items()})


def read_built_farm(connection: Connection, target: str) -> tuple[Farm, Seeds]:
    """Read all that the reference computes from; AnchorlineError where nothing is built."""
    with _built(connection, target):
        return read_farm(connection, target), read_seeds(connection, target)


@contextmanager
def _built(connection: Connection, target: str) -> Iterator[None]:
    """Say what to do where a view or table is missing."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise AnchorlineError(
            f"Database {connection.info.dbname} is not built on target {target}: run `dbt build` "
            'first, after eval "$(make -s env)".'
        ) from error


def verify(
    connection: Connection,
    target: str,
    *,
    parameters: Parameters,
    batch_numbers: Sequence[str] = (),
    limit: int = 10,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Result, Comparison]:
    """Run the reference on the staging views and compare it with what the database holds.

    Raises AnchorlineError where the database is not built, or a batch is not known.
    """
    with _built(connection, target):
        tell("Reading the staging views")
        farm, seeds = read_farm(connection, target), read_seeds(connection, target)
        wanted = batch_ids(farm, batch_numbers)
        tell(f"Computing the reference as of {parameters.as_of_date}")
        result = daily_assignment_states(farm, seeds, parameters)
        smoothed = smoothed_series(result, seeds)
        plans = plan_days(farm, seeds, parameters, result)
        ahead = forecasts(farm, seeds, parameters, result, smoothed, plans)
        outlook = {
            "int_plan_days": plans,
            "int_forecast_days": ahead.days,
            "forecast_daily": ahead.daily,
            "container_forecast": ahead.containers,
        }
        tell("Reading the published states")
        mart = _read(
            connection, settings.layer_schema("marts", target), "daily_assignment_states", _MART
        )
        engine = _read(
            connection,
            settings.layer_schema("intermediate", target),
            "int_growth_states",
            _ENGINE,
            where="not is_in_transit",
        )
        rejected = _read(
            connection,
            settings.layer_schema("marts", target),
            "rejected_records",
            "$table_name #record_id $reason",
        )
        tables, missing = _read_tables(connection, target)
    if wanted is not None:
        assignments = farm.assignments
        of_batch = assignments["assignment_id"][assignments["batch_id"].isin(wanted)]
        mart = mart[mart["assignment_id"].isin(of_batch)]
        engine = engine[engine["assignment_id"].isin(of_batch)]
        kept = result.states["assignment_id"].isin(of_batch)
        result = replace(
            result,
            states=result.states[kept].reset_index(drop=True),
            unrounded=result.unrounded[kept].reset_index(drop=True),
            rejected=result.rejected.iloc[0:0],
        )
        rejected = rejected.iloc[0:0]
        smoothed = of_batches(smoothed, of_batch, wanted)
        outlook = {
            name: frame[frame["batch_id"].isin(wanted)].reset_index(drop=True)
            for name, frame in outlook.items()
        }
        tables = {
            name: table[
                table["assignment_id"].isin(of_batch)
                if "assignment_id" in table
                else table["batch_id"].isin(wanted)
            ]
            for name, table in tables.items()
        }
    comparison = replace(
        compare(result, mart, engine, rejected, limit),
        tables=[
            *compare_smoothed(smoothed, tables, limit),
            *compare_outlook(outlook, tables, limit),
        ],
        missing=missing,
    )
    return result, comparison


def compare(
    result: Result,
    mart: pd.DataFrame,
    engine: pd.DataFrame,
    rejected: pd.DataFrame,
    limit: int = 10,
) -> Comparison:
    """Compare what the reference computed with what the database holds.

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
    states = compare_tables(
        "daily_assignment_states",
        ours,
        theirs,
        (_state_key(ours), _state_key(theirs)),
        [
            Rule("weight_g", scale=1e-300, label="weight_g (unrounded)"),
            Rule("engine_population", label="population (engine)"),
            *exact(*EXACT),
            *published(DECIMALS, *DECIMALS),
        ],
        ["batch_number", "assignment_id", "state_date"],
        limit,
    )
    ours_rejected, theirs_rejected = _keys(result.rejected), _keys(rejected)
    return Comparison(
        state_count=states.row_count,
        columns=states.columns,
        only_in_database=states.only_in_database,
        only_in_reference=states.only_in_reference,
        first_rows=states.first_rows,
        rejected_only_in_database=_without(theirs_rejected, ours_rejected),
        rejected_only_in_reference=_without(ours_rejected, theirs_rejected),
    )


def read_truth(connection: Connection) -> pd.DataFrame:
    """Read the true states of a demo farm: assignment_id, state_date, population, weight_g.

    Raises AnchorlineError where there is no truth.
    """
    has_truth = connection.execute("select to_regclass('demo_truth.daily_states')").fetchone()
    if has_truth is None or has_truth[0] is None:
        raise AnchorlineError(
            f"Database {connection.info.dbname} holds no demo farm, and only of a demo farm the "
            "truth is known. Load one: `anchorline demo load`."
        )
    kinds = "#assignment_id @state_date #population %weight_g"
    return _read(connection, "demo_truth", "daily_states", kinds)


def truth_errors(connection: Connection, target: str) -> pd.DataFrame:
    """Return how far the published states are from the demo farm's truth.

    One row per class of days since the assignment's last anchor, over days without anchor and
    with true fish: days_since_anchor, states, and the mean absolute percentage error of weight,
    number and biomass. A demo farm only: raises AnchorlineError where there is no truth.
    """
    truth = read_truth(connection)
    states = _read(
        connection,
        settings.layer_schema("marts", target),
        "daily_assignment_states",
        "#assignment_id @state_date #population %avg_weight_g $anchor_type",
    )
    return error_table(states, truth)


ERROR_CLASSES: Final = (
    ("no anchor yet", -1, -1),
    ("1 to 7", 1, 7),
    ("8 to 14", 8, 14),
    ("15 to 30", 15, 30),
    ("31 to 60", 31, 60),
    ("over 60", 61, 1 << 30),
)
"""Classes of days since the last anchor: name, first and last day."""


def error_table(states: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return mean absolute percentage errors by days since the last anchor; see `truth_errors`.

    The error of a state is `100 * |estimate - truth| / truth` [%]; `state_date` is in days.
    """
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
        lines.append(
            {
                "days_since_anchor": name,
                "states": len(of_class),
                **of_class.drop(columns="since").mean().to_dict(),
            }
        )
    return pd.DataFrame(lines)


def _read_tables(connection: Connection, target: str) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Read the tables beside the states; names those that lack something, and what."""
    tables, missing = {}, []
    for table in (*SMOOTHED_TABLES, *OUTLOOK_TABLES):
        schema = settings.layer_schema(table.layer, target)
        there = {
            str(row[0])
            for row in connection.execute(
                "select column_name from information_schema.columns"
                " where table_schema = %s and table_name = %s",
                (schema, table.name),
            )
        }
        lacking = [column[1:] for column in table.columns.split() if column[1:] not in there]
        if not there:
            missing.append(f"{schema}.{table.name}")
        elif lacking:
            missing.append(f"{schema}.{table.name} ({', '.join(lacking)})")
        else:
            tables[table.name] = _read(connection, schema, table.name, table.columns)
    return tables, missing


def batch_ids(farm: Farm, batch_numbers: Sequence[str]) -> list[int] | None:
    """Return the ids of batches by their numbers; None where none are given.

    Raises AnchorlineError for a number that no batch has.
    """
    if not batch_numbers:
        return None
    known = dict(zip(farm.batches["batch_number"], farm.batches["batch_id"], strict=True))
    strange = [number for number in batch_numbers if number not in known]
    if strange:
        some = ", ".join(sorted(map(str, known))[:5])
        raise AnchorlineError(
            f"There is no batch {', '.join(strange)}. Batches are called {some} and so on."
        )
    return [int(known[number]) for number in batch_numbers]


def _read(
    connection: Connection, schema: str, relation: str, kinds: str, *, where: str | None = None
) -> pd.DataFrame:
    """Read columns of a table or view; null becomes UNKNOWN, NaN or None, dates become days."""
    columns = [(column[0], column[1:]) for column in kinds.split()]
    query = sql.SQL("copy (select {} from {}{}) to stdout (format csv)").format(
        sql.SQL(", ").join(sql.Identifier(name) for _, name in columns),
        sql.Identifier(schema, relation),
        sql.SQL(f" where {where}" if where else ""),
    )
    buffer = io.BytesIO()
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for block in copy:
            buffer.write(block)
    names = [name for _, name in columns]
    if buffer.tell() == 0:
        table = pa.table({name: pa.array([], _ARROW_TYPES[kind]) for kind, name in columns})
    else:
        buffer.seek(0)
        table = csv.read_csv(
            buffer,
            read_options=csv.ReadOptions(column_names=names),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types={name: _ARROW_TYPES[kind] for kind, name in columns},
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
            ),
        )
    return pd.DataFrame({name: _numpy(table[name], kind) for kind, name in columns})


def _numpy(column: Any, kind: str) -> np.ndarray:
    if kind == "@":
        column = column.cast(pa.int32()).cast(pa.int64())
    if kind in "#@":
        return np.asarray(pc.fill_null(column, UNKNOWN).to_numpy(), dtype=np.int64)
    if kind == "%":
        return np.asarray(column.to_numpy(), dtype=np.float64)
    return np.array(column.to_pylist(), dtype=object)


def _as_type(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(default)(text)
    except (KeyError, ValueError) as error:
        raise AnchorlineError(
            f"The var {name} is {text!r}; expected something like {default!r}."
        ) from error


def _state_key(states: pd.DataFrame) -> np.ndarray:
    return day_key(ints(states, "assignment_id"), ints(states, "state_date"))


def _keys(rejected: pd.DataFrame) -> pd.DataFrame:
    return rejected[["table_name", "record_id", "reason"]].drop_duplicates(
        ["table_name", "record_id"]
    )


def _without(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    known = set(zip(others["table_name"], others["record_id"], strict=True))
    missing = [
        pair not in known for pair in zip(rows["table_name"], rows["record_id"], strict=True)
    ]
    return rows[np.array(missing, dtype=bool)].reset_index(drop=True)
