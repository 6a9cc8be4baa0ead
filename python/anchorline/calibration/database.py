"""What the calibration reads of a built database, and the tables in which it keeps its fits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, LiteralString

import numpy as np
import pandas as pd
from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedColumn, UndefinedTable

from anchorline import hints, settings
from anchorline.calibration.design import Inputs
from anchorline.calibration.fit import Calibration, Estimate
from anchorline.errors import AnchorlineError

ENGINE_VERSION_FILE: Final = "macros/growth/engine_version.sql"

_STAYS: Final[LiteralString] = """
    select
        starts.assignment_id,
        assignments.batch_id,
        sites.site_kind,
        coalesce(sites.site_id, -1) as site_id,
        sites.site_name,
        starts.start_root,
        starts.outside_variance
    from {intermediate}.int_smoothing_starts as starts
    inner join {intermediate}.int_assignments as assignments
        on starts.assignment_id = assignments.assignment_id
    left join {intermediate}.int_container_sites as sites
        on assignments.container_id = sites.container_id
"""

_MEASUREMENTS: Final[LiteralString] = """
    select
        measurements.assignment_id,
        measurements.anchor_date - date '1970-01-01' as day,
        measurements.weight_g,
        measurements.std_deviation_weight_g,
        greatest(coalesce(measurements.sample_size, 1), 1) as sample_size,
        days.population
    from {intermediate}.int_anchor_measurements as measurements
    inner join {intermediate}.int_smoothing_days as days
        on
            measurements.assignment_id = days.assignment_id
            and measurements.anchor_date = days.state_date
    where measurements.anchor_status = 'used'
"""

_EVENTS: Final[LiteralString] = """
    with handovers as (
        select
            arrivals.source_assignment_id,
            arrivals.assignment_id,
            arrivals.departed_date - 1 as event_date,
            arrivals.fish_share
        from {intermediate}.int_smoothing_arrivals as arrivals
        where arrivals.source_assignment_id is not null
    ),

    events as (
        select assignment_id, anchor_date as event_date
        from {intermediate}.int_anchor_measurements
        where anchor_status = 'used'

        union

        select source_assignment_id, event_date from handovers
    )
"""

_EVENT_DAYS: Final[LiteralString] = (
    _EVENTS
    + """
    select
        events.assignment_id,
        events.event_date - date '1970-01-01' as day,
        days.degree_days,
        days.root_drift
    from events
    inner join {intermediate}.int_smoothing_days as days
        on events.assignment_id = days.assignment_id and events.event_date = days.state_date
"""
)

_HANDOVERS: Final[LiteralString] = (
    _EVENTS
    + """
    select
        source_assignment_id,
        assignment_id,
        event_date - date '1970-01-01' as day,
        fish_share
    from handovers
"""
)

# A day grows in the stage of the day before, the first one in that of the assignment.
_GROWTH: Final[LiteralString] = (
    _EVENTS
    + """,

    stepped as (
        select
            states.assignment_id,
            coalesce(
                lag(states.lifecycle_stage_id) over stay, assignments.lifecycle_stage_id
            ) as lifecycle_stage_id,
            cbrt(states.modelled_weight_g) - cbrt(states.mixed_weight_g) as growth,
            days.degree_days - coalesce(lag(days.degree_days) over stay, 0) as degree_days,
            min(events.event_date) over backwards as event_date
        from {intermediate}.int_growth_states as states
        inner join {intermediate}.int_assignments as assignments
            on states.assignment_id = assignments.assignment_id
        inner join {intermediate}.int_smoothing_days as days
            on
                states.assignment_id = days.assignment_id
                and states.state_date = days.state_date
        left join events
            on
                states.assignment_id = events.assignment_id
                and states.state_date = events.event_date
        window
            stay as (partition by states.assignment_id order by states.state_date),
            backwards as (partition by states.assignment_id order by states.state_date desc)
    )

    select
        assignment_id,
        event_date - date '1970-01-01' as day,
        lifecycle_stage_id,
        sum(growth) as growth,
        sum(degree_days) as degree_days
    from stepped
    where event_date is not null
    group by assignment_id, event_date, lifecycle_stage_id
"""
)

_CALIBRATION_COLUMNS: Final = (
    "calibrated_by",
    "as_of_date",
    "anchor_pair_count",
    "process_noise",
    "process_noise_low",
    "process_noise_high",
    "sample_bias",
    "sample_bias_low",
    "sample_bias_high",
    "error_before_pct",
    "error_after_pct",
    "engine_version",
)
_TGC_COLUMNS: Final = (
    "lifecycle_stage_id",
    "site_kind",
    "site_id",
    "site_name",
    "tgc_model",
    "tgc_fitted",
    "tgc",
    "tgc_low",
    "tgc_high",
    "tgc_factor",
    "tgc_factor_variance",
    "anchor_pair_count",
)


@dataclass(frozen=True)
class Farm:
    """All that a calibration needs to know of a built database."""

    inputs: Inputs
    constants: Mapping[str, float]
    """The seeds `smoothing_constants` and `calibration_constants`."""
    stage_names: Mapping[int, str]
    as_of_date: date | None
    """Newest day of the states; None where there is none."""
    earlier: pd.DataFrame
    """The factors of the newest calibration, as they are now: `int_calibrated_tgc`."""

    def earlier_factors(self) -> dict[tuple[int, str, int | None], float]:
        """Return them by stage, kind of site and site (None: all sites)."""
        return {
            (
                int(row["lifecycle_stage_id"]),
                str(row["site_kind"]),
                None if pd.isna(row["site_id"]) else int(row["site_id"]),
            ): float(row["tgc_factor"])
            for row in self.earlier.to_dict("records")
        }


class CalibrationDatabase:
    """The database of one target; each call is one transaction."""

    def __init__(self, connection: Connection, target: str) -> None:
        self._connection = connection
        self._target = target
        self._schemas = {
            layer: sql.Identifier(settings.layer_schema(layer, target))
            for layer in ("staging", "intermediate", "marts", "seeds", "ops")
        }

    def read(self) -> Farm:
        """Read the farm. Raises AnchorlineError where it is not built, or may not be read."""
        with self._transaction("read what is built"):
            constants = self._frame(
                "select constant, value from {seeds}.smoothing_constants "
                "union all select constant, value from {seeds}.calibration_constants"
            )
            stages = self._frame(
                "select lifecycle_stage_id, lifecycle_stage_name "
                "from {staging}.stg_lifecycle_stages order by stage_order"
            )
            newest = self._frame("select max(state_date) as day from {marts}.daily_batch_states")
            return Farm(
                inputs=Inputs(
                    stays=self._frame(_STAYS),
                    measurements=self._frame(_MEASUREMENTS),
                    events=self._frame(_EVENT_DAYS),
                    growth=self._frame(_GROWTH),
                    handovers=self._frame(_HANDOVERS),
                ),
                constants=dict(zip(constants["constant"], constants["value"], strict=True)),
                stage_names=dict(
                    zip(stages["lifecycle_stage_id"], stages["lifecycle_stage_name"], strict=True)
                ),
                as_of_date=newest["day"][0],
                earlier=self._frame("select * from {intermediate}.int_calibrated_tgc"),
            )

    def write(self, fit: Mapping[str, Any], tgc: pd.DataFrame) -> int:
        """Keep a fit; return its id. Raises AnchorlineError where the user may not."""
        with self._transaction("keep a calibration"):
            row = self._connection.execute(
                self._insert("calibrations", _CALIBRATION_COLUMNS)
                + sql.SQL(" returning calibration_id"),
                {name: _plain(fit[name]) for name in _CALIBRATION_COLUMNS},
            ).fetchone()
            assert row is not None  # noqa: S101 - an insert that returns
            calibration_id = int(row[0])
            with self._connection.cursor() as cursor:
                cursor.executemany(
                    self._insert("calibrated_tgc", ("calibration_id", *_TGC_COLUMNS)),
                    [
                        {"calibration_id": calibration_id}
                        | {name: _plain(line[name]) for name in _TGC_COLUMNS}
                        for line in tgc.to_dict("records")
                    ],
                )
        return calibration_id

    def require_writable(self) -> None:
        """Raise AnchorlineError where the user may not keep a calibration, before the work."""
        with self._transaction("keep a calibration"):
            for table in ("calibrations", "calibrated_tgc"):
                name = sql.Identifier(settings.layer_schema("ops", self._target), table)
                text = name.as_string(self._connection)
                row = self._connection.execute(
                    "select has_table_privilege(%s::regclass, 'insert')", (text,)
                ).fetchone()
                if row != (True,):
                    raise self._not_allowed("keep a calibration")

    def _insert(self, table: str, columns: tuple[str, ...]) -> sql.Composed:
        return sql.SQL("insert into {}.{} ({}) values ({})").format(
            self._schemas["ops"],
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(map(sql.Placeholder, columns)),
        )

    def _frame(self, query: LiteralString) -> pd.DataFrame:
        with self._connection.cursor() as cursor:
            cursor.execute(sql.SQL(query).format(**self._schemas))
            names = [column.name for column in cursor.description or ()]
            return pd.DataFrame(cursor.fetchall(), columns=names)

    @contextmanager
    def _transaction(self, purpose: str) -> Iterator[None]:
        """Run one transaction; say in plain words what a user lacks."""
        try:
            with self._connection.transaction():
                yield
        except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
            raise AnchorlineError(
                f"The {hints.place(self._connection)} lacks marts or tables of this release. "
                f"Build them with `{hints.dbt_build(self._target)}`."
            ) from error
        except InsufficientPrivilege as error:
            raise self._not_allowed(purpose) from error

    def _not_allowed(self, purpose: str) -> AnchorlineError:
        return AnchorlineError(
            f"The user {self._connection.info.user!r} may not {purpose} in the "
            f"{hints.place(self._connection)}. Connect as who builds the marts (PGUSER), who has "
            "the role runner; docs/roles.md says how to make one."
        )


def calibration_row(found: Calibration, farm: Farm, *, by: str) -> dict[str, Any]:
    """Return the row of the table `calibrations`.

    Raises AnchorlineError where there was nothing to fit to.
    """
    if farm.as_of_date is None or found.pair_count == 0:
        raise AnchorlineError(
            "There is nothing to calibrate with: "
            + (
                "the marts hold no day."
                if farm.as_of_date is None
                else "no anchor lies on a day with a state."
            )
            + " Growth is fitted to samples, measured transfers, vaccinations with weighing and "
            "manual anchors; `anchorline anchors list` shows what became of them."
        )
    noise = found.noise
    no_noise = Estimate(float("nan"), float("nan"), float("nan"))
    process_noise = noise.process_noise if noise else no_noise
    sample_bias = noise.sample_bias if noise else no_noise
    return {
        "calibrated_by": by,
        "as_of_date": farm.as_of_date,
        "anchor_pair_count": found.pair_count,
        "process_noise": process_noise.value,
        "process_noise_low": process_noise.low,
        "process_noise_high": process_noise.high,
        "sample_bias": sample_bias.value,
        "sample_bias_low": sample_bias.low,
        "sample_bias_high": sample_bias.high,
        "error_before_pct": found.error_before_pct,
        "error_after_pct": found.error_after_pct,
        "engine_version": engine_version(),
    }


def engine_version() -> int:
    """Return the version of the growth rules, as the macro of that name gives it to the models."""
    path = settings.project_folder() / ENGINE_VERSION_FILE
    found = re.search(r"return\((\d+)\)", path.read_text("utf-8"))
    if found is None:
        raise AnchorlineError(f"{path} names no version of the growth rules: return(1), say.")
    return int(found[1])


def _plain(value: Any) -> Any:
    """Return a value as the database takes it: NaN is null, numbers are Python's own."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value
