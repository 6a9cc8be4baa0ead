"""Run the reference on a built database and compare, column by column.

Reading the database is all the I/O here; the comparison itself is a pure function of two frames.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from anchorline.errors import AnchorlineError
from anchorline.raw.sources import project_variable
from anchorline.reference.inputs import COLUMNS, Farm, Parameters, Seeds
from anchorline.reference.states import DECIMALS, Result, daily_assignment_states
from anchorline.reference.tables import UNKNOWN

RELATIVE_TOLERANCE: Final = 1e-9
"""How far unrounded weights may be apart, relative to the weight."""

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
    "growth_constants": "$constant %value",
    "plausible_ranges": "$quantity %min_value %max_value",
    "selection_factors": "$selection_method %mean_weight_factor",
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
class ColumnDifference:
    """How far a column is apart.

    `largest` is absolute, of `weight_g (unrounded)` relative, and NaN for columns that are no
    numbers; `differing` counts the rows beyond what the rule allows.
    """

    name: str
    rule: str
    largest: float
    differing: int


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison: per column, the rows on one side only, the first that differ."""

    state_count: int
    columns: list[ColumnDifference]
    only_in_database: int
    only_in_reference: int
    first_rows: pd.DataFrame
    rejected_only_in_database: pd.DataFrame
    rejected_only_in_reference: pd.DataFrame

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return (
            not any(column.differing for column in self.columns)
            and self.only_in_database == 0
            and self.only_in_reference == 0
            and self.rejected_only_in_database.empty
            and self.rejected_only_in_reference.empty
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


def verify(
    connection: Connection,
    target: str,
    *,
    parameters: Parameters,
    batch_numbers: Sequence[str] = (),
    limit: int = 10,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Result, Comparison]:
    """Run the reference on the staging views and compare it with the published states.

    Raises AnchorlineError where the database is not built, or a batch is not known.
    """
    try:
        tell("Reading the staging views")
        farm = read_farm(connection, target)
        seeds = read_seeds(connection, target)
        wanted = _batch_ids(farm, batch_numbers)
        tell(f"Computing the reference as of {parameters.as_of_date}")
        result = daily_assignment_states(farm, seeds, parameters)
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
    except psycopg.errors.UndefinedTable as error:
        raise AnchorlineError(
            f"Database {connection.info.dbname} is not built on target {target}: run `dbt build` "
            'first, after eval "$(make -s env)".'
        ) from error
    if wanted is not None:
        assignments = farm.assignments
        of_batch = assignments["assignment_id"][assignments["batch_id"].isin(wanted)]
        mart = mart[mart["assignment_id"].isin(of_batch)]
        engine = engine[engine["assignment_id"].isin(of_batch)]
        kept = result.states["assignment_id"].isin(of_batch)
        result = Result(
            result.states[kept].reset_index(drop=True),
            result.unrounded[kept].reset_index(drop=True),
            result.rejected.iloc[0:0],
            result.movements,
        )
        rejected = rejected.iloc[0:0]
    return result, compare(result, mart, engine, rejected, limit)


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
    keys = ["assignment_id", "state_date"]
    ours = result.states.assign(weight_g=result.unrounded["weight_g"])
    ours["state_date"] = _days(ours["state_date"])
    theirs = mart.merge(
        engine.rename(columns={"population": "engine_population"}), on=keys, how="left"
    )
    both = ours.merge(theirs, on=keys, how="outer", suffixes=("", "_db"), indicator="side")
    sides = both["side"].astype(str)
    pairs = both[sides == "both"].reset_index(drop=True)

    differing = np.zeros(len(pairs), dtype=np.bool_)
    columns = []
    reports: list[pd.DataFrame] = []
    checks: list[tuple[str, str, str, float | None]] = [
        ("weight_g", "weight_g_db", "1e-9 relative", None),
        ("population", "engine_population", "equal", 0.0),
    ]
    checks += [(name, f"{name}_db", "equal", 0.0) for name in EXACT]
    checks += [(n, f"{n}_db", f"one in decimal {d}", 10.0**-d) for n, d in DECIMALS.items()]
    for name, other, rule, tolerance in checks:
        a, b = pairs[name], pairs[other]
        if name in EXACT and (a.dtype == object or not pd.api.types.is_numeric_dtype(a.dtype)):
            bad = ~_equal(a, b)
            largest = float("nan")
        else:
            x, y = _reals(a), _reals(b)
            gap = np.where(np.isnan(x) & np.isnan(y), 0.0, np.abs(x - y))
            if tolerance is None:
                gap = gap / np.maximum(np.abs(y), 1e-300)
                bad = ~(gap <= RELATIVE_TOLERANCE)
            else:
                bad = ~(gap <= tolerance * (1 + 1e-6) + 1e-12)
            largest = float(np.nanmax(gap)) if len(gap) and not np.all(np.isnan(gap)) else 0.0
        label = {"weight_g": "weight_g (unrounded)"}.get(name, name)
        if other == "engine_population":
            label = "population (engine)"
        columns.append(ColumnDifference(label, rule, largest, int(bad.sum())))
        if bad.any():
            differing |= bad
            reports.append(
                pd.DataFrame(
                    {
                        "batch_number": pairs["batch_number"][bad],
                        "assignment_id": pairs["assignment_id"][bad],
                        "state_date": _dates(pairs["state_date"][bad]),
                        "column": label,
                        "database": b[bad].astype(object),
                        "reference": a[bad].astype(object),
                    }
                )
            )
    first = pd.concat(reports, ignore_index=True) if reports else pd.DataFrame()
    if len(first):
        first = first.sort_values(["state_date", "assignment_id"], kind="stable").head(limit)
    ours_rejected, theirs_rejected = _keys(result.rejected), _keys(rejected)
    return Comparison(
        state_count=len(pairs),
        columns=columns,
        only_in_database=int((sides == "right_only").sum()),
        only_in_reference=int((sides == "left_only").sum()),
        first_rows=first.reset_index(drop=True),
        rejected_only_in_database=_without(theirs_rejected, ours_rejected),
        rejected_only_in_reference=_without(ours_rejected, theirs_rejected),
    )


def truth_errors(connection: Connection, target: str) -> pd.DataFrame:
    """Return how far the published states are from the demo farm's truth.

    One row per class of days since the assignment's last anchor, over days without anchor and
    with true fish: days_since_anchor, states, and the mean absolute percentage error of weight,
    number and biomass. A demo farm only: raises AnchorlineError where there is no truth.
    """
    has_truth = connection.execute("select to_regclass('demo_truth.daily_states')").fetchone()
    if has_truth is None or has_truth[0] is None:
        raise AnchorlineError(
            f"Database {connection.info.dbname} holds no demo farm, and only of a demo farm the "
            "truth is known. Load one: `anchorline demo load`."
        )
    kinds = "#assignment_id @state_date #population %weight_g"
    truth = _read(connection, "demo_truth", "daily_states", kinds)
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


def _batch_ids(farm: Farm, batch_numbers: Sequence[str]) -> list[int] | None:
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


def _reals(values: pd.Series) -> np.ndarray:
    if values.dtype == np.int64:
        whole = values.to_numpy()
        return np.where(whole == UNKNOWN, np.nan, whole.astype(np.float64))
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _equal(a: pd.Series, b: pd.Series) -> np.ndarray:
    same = (a.astype(object) == b.astype(object)).to_numpy(dtype=np.bool_)
    return np.asarray(same | (a.isna() & b.isna()).to_numpy(dtype=np.bool_))


def _days(values: pd.Series) -> np.ndarray:
    return values.to_numpy().astype("datetime64[D]").astype(np.int64)


def _dates(days: pd.Series) -> np.ndarray:
    return np.datetime_as_string(days.to_numpy().astype("datetime64[D]"))


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
