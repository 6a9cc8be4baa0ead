"""What the reference reads: staging frames, seeds, run parameters.

Columns carry the names of the staging views. On the way in, dates become whole days since
1970-01-01, ids and counts int64, measures float64; null becomes `UNKNOWN` or NaN (`tables`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference.tables import UNKNOWN, IntArray

__all__ = ["UNKNOWN", "Farm", "Parameters", "Seeds", "day_of"]

COLUMNS: Final[Mapping[str, str]] = {
    # staging view without its prefix: columns with their kind;
    # # id or count, @ day, % measure, ? yes or no, $ text
    "lifecycle_stages": (
        "#lifecycle_stage_id #species_id $lifecycle_stage_name $lifecycle_stage_key #stage_order "
        "%expected_weight_min_g %expected_weight_max_g #typical_duration_days"
    ),
    "batches": (
        "#batch_id $batch_number #species_id #pinned_projection_run_id #pinned_scenario_id "
        "@start_date @actual_end_date"
    ),
    "assignments": (
        "#assignment_id #batch_id #container_id #lifecycle_stage_id ?is_active @assignment_date "
        "@departure_date #population_count %avg_weight_g"
    ),
    "containers": "#container_id #hall_id #area_id $container_name",
    "halls": "#hall_id #freshwater_station_id",
    "growth_samples": (
        "#growth_sample_id #assignment_id @sample_date #sample_size %avg_weight_g "
        "%std_deviation_weight_g"
    ),
    "transfer_workflows": "#transfer_workflow_id #planned_activity_id",
    "transfer_actions": (
        "#transfer_action_id #transfer_workflow_id #source_assignment_id #dest_assignment_id "
        "$transfer_status $selection_method @actual_execution_date #source_population_before "
        "#transferred_count #mortality_during_transfer %measured_avg_weight_g "
        "%measured_std_dev_weight_g #measured_sample_size"
    ),
    "mortality_events": "#mortality_event_id #batch_id #assignment_id @event_date #death_count",
    "mortality_records": (
        "#mortality_record_id #batch_id #container_id #assignment_id @event_date #death_count"
    ),
    "creation_actions": (
        "#creation_action_id #assignment_id $creation_status @actual_delivery_date "
        "#egg_count_actual #mortality_on_arrival"
    ),
    "environmental_parameters": "#parameter_id $parameter_key",
    "environmental_readings": (
        "#reading_id #container_id #parameter_id @reading_date %reading_value"
    ),
    "feeding_events": (
        "#feeding_event_id #batch_id #assignment_id #container_id @feeding_date %amount_kg"
    ),
    "health_sampling_events": (
        "#health_sampling_event_id #assignment_id @sampling_date #fish_sampled_count "
        "%avg_weight_g %std_dev_weight_g"
    ),
    "individual_fish_observations": (
        "#individual_fish_observation_id #health_sampling_event_id %weight_g"
    ),
    "treatments": (
        "#treatment_id #batch_id #health_sampling_event_id ?includes_weighing @treatment_date"
    ),
    "harvest_events": "#harvest_event_id #assignment_id @harvest_date",
    "harvest_lots": "#harvest_lot_id #harvest_event_id #unit_count",
    "scenarios": (
        "#scenario_id #batch_id #tgc_model_id #mortality_model_id #constraint_set_id "
        "%initial_weight_g @start_date #duration_days #initial_count"
    ),
    "projection_runs": "#projection_run_id #scenario_id",
    "projection_days": (
        "#projection_day_id #projection_run_id #lifecycle_stage_id @projection_date %avg_weight_g "
        "%population"
    ),
    "scenario_model_changes": (
        "#scenario_model_change_id #scenario_id #change_day #new_tgc_model_id "
        "#new_mortality_model_id"
    ),
    "tgc_models": "#tgc_model_id #temperature_profile_id %tgc_value %exponent_n %exponent_m",
    "tgc_model_stages": (
        "#tgc_model_stage_id #tgc_model_id $lifecycle_stage_key %tgc_value %exponent_n %exponent_m"
    ),
    "fcr_model_stages": "#fcr_model_stage_id %model_fcr",
    "fcr_model_stage_overrides": "#fcr_model_stage_override_id %model_fcr",
    "temperature_profile_days": (
        "#temperature_profile_day_id #temperature_profile_id #day_number %temp_c"
    ),
    "mortality_models": "#mortality_model_id $frequency %rate_percent",
    "mortality_model_stages": (
        "#mortality_model_stage_id #mortality_model_id $lifecycle_stage_key %daily_rate_percent "
        "%weekly_rate_percent"
    ),
    "stage_constraints": (
        "#stage_constraint_id #constraint_set_id $lifecycle_stage_key %min_weight_g %max_weight_g"
    ),
    "manual_anchors": "#manual_anchor_id #assignment_id @anchor_date %weight_g",
    "anchor_exclusions": "$anchor_type #record_id",
    "planned_activities": (
        "#planned_activity_id #batch_id #container_id $activity_type $activity_status "
        "@completed_date"
    ),
    "calibrations": "#calibration_id %process_noise",
    "calibrated_tgc": (
        "#calibration_id #lifecycle_stage_id $site_kind #site_id %tgc_factor %tgc_factor_variance"
    ),
}


def columns_of(view: str) -> list[str]:
    """Name the columns that the reference reads of a staging view (`assignments`, ...)."""
    return [column[1:] for column in COLUMNS[view].split()]


@dataclass(frozen=True)
class Farm:
    """One frame per staging view, as the names say (`assignments` is `stg_assignments`)."""

    lifecycle_stages: pd.DataFrame
    batches: pd.DataFrame
    assignments: pd.DataFrame
    containers: pd.DataFrame
    halls: pd.DataFrame
    growth_samples: pd.DataFrame
    transfer_workflows: pd.DataFrame
    transfer_actions: pd.DataFrame
    mortality_events: pd.DataFrame
    mortality_records: pd.DataFrame
    creation_actions: pd.DataFrame
    environmental_parameters: pd.DataFrame
    environmental_readings: pd.DataFrame
    feeding_events: pd.DataFrame
    health_sampling_events: pd.DataFrame
    individual_fish_observations: pd.DataFrame
    treatments: pd.DataFrame
    harvest_events: pd.DataFrame
    harvest_lots: pd.DataFrame
    scenarios: pd.DataFrame
    projection_runs: pd.DataFrame
    projection_days: pd.DataFrame
    scenario_model_changes: pd.DataFrame
    tgc_models: pd.DataFrame
    tgc_model_stages: pd.DataFrame
    fcr_model_stages: pd.DataFrame
    fcr_model_stage_overrides: pd.DataFrame
    temperature_profile_days: pd.DataFrame
    mortality_models: pd.DataFrame
    mortality_model_stages: pd.DataFrame
    stage_constraints: pd.DataFrame
    manual_anchors: pd.DataFrame
    anchor_exclusions: pd.DataFrame
    planned_activities: pd.DataFrame
    calibrations: pd.DataFrame
    calibrated_tgc: pd.DataFrame

    @classmethod
    def from_frames(cls, frames: Mapping[str, pd.DataFrame]) -> Farm:
        """Take frames as they come from the staging views, by view name without `stg_`.

        A view or column that is not given reads as empty or null. Rows are sorted by their key,
        the first column. Raises ValueError for a name that is no staging view of the model.
        """
        known = [field.name for field in fields(cls)]
        strange = sorted(set(frames) - set(known))
        if strange:
            raise ValueError(f"No staging view is called {', '.join(strange)}; expected {known}.")
        return cls(**{name: _typed(name, frames.get(name, pd.DataFrame())) for name in known})


@dataclass(frozen=True)
class Seeds:
    """One frame per seed of the growth model, with the seed's name and columns."""

    anchor_types: pd.DataFrame
    baseline_stages: pd.DataFrame
    baseline_temperature_profile: pd.DataFrame
    confidence_by_source: pd.DataFrame
    forecast_constants: pd.DataFrame
    growth_constants: pd.DataFrame
    planning_constants: pd.DataFrame
    plausible_ranges: pd.DataFrame
    selection_factors: pd.DataFrame
    smoothing_constants: pd.DataFrame
    stage_weight_caps: pd.DataFrame

    def confidence(self, quantity: str, source: str) -> float:
        """Return how far a value from this source is trusted, 0 to 1."""
        seed = self.confidence_by_source
        return _one(seed[(seed["quantity"] == quantity) & (seed["source"] == source)], "confidence")

    def constant(self, name: str) -> float:
        """Return a constant of the growth model, in the unit that its seed names."""
        return _one(self.growth_constants[self.growth_constants["constant"] == name], "value")

    def forecast(self, name: str) -> float:
        """Return a constant of the forecast, in the unit that its seed names."""
        return _one(self.forecast_constants[self.forecast_constants["constant"] == name], "value")

    def planning(self, name: str) -> float:
        """Return a constant of planning, in the unit that its seed names."""
        return _one(self.planning_constants[self.planning_constants["constant"] == name], "value")

    def smoothing(self, name: str) -> float:
        """Return a constant of the smoothed series, in the unit that its seed names."""
        return _one(self.smoothing_constants[self.smoothing_constants["constant"] == name], "value")

    def plausible(self, quantity: str) -> tuple[float, float]:
        """Return the limits outside which a record cannot be true, in the seed's unit."""
        row = self.plausible_ranges[self.plausible_ranges["quantity"] == quantity]
        return _one(row, "min_value"), _one(row, "max_value")


@dataclass(frozen=True)
class Parameters:
    """The vars of `dbt_project.yml` that numbers depend on, with the same names and defaults.

    `today` is the day on which the run happens: with `as_of_date` in the past, records up to
    today still count for rebuilt counts and for the ends of assignments.
    """

    as_of_date: date
    today: date
    max_interpolation_gap_days: int = 14
    short_interpolation_gap_days: int = 3
    max_nearest_gap_days: int = 7
    inference_window_days: int = 1
    min_inferred_cover: float = 0.5
    max_transfer_mortality_share: float = 0.05
    missing_mortality: str = "model"
    growth_formula: str = "cube_root"
    health_samplings_are_anchors: bool = False
    stage_caps_enabled: bool = False
    fcr_cap: float = 10.0
    min_gain_kg_for_fcr: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no rule knows."""
        if self.growth_formula not in ("cube_root", "power_law"):
            raise ValueError(
                f"growth_formula is {self.growth_formula!r}; expected cube_root or power_law."
            )
        if self.missing_mortality not in ("model", "zero"):
            raise ValueError(
                f"missing_mortality is {self.missing_mortality!r}; expected model or zero."
            )

    @property
    def as_of_day(self) -> int:
        """The last day of the states, in days since 1970-01-01."""
        return day_of(self.as_of_date)

    @property
    def horizon_day(self) -> int:
        """The later of as-of date and today: what is dated after it lies in the future."""
        return day_of(max(self.as_of_date, self.today))


def day_of(when: date) -> int:
    """Return a date as days since 1970-01-01."""
    return (when - date(1970, 1, 1)).days


def _one(rows: pd.DataFrame, column: str) -> float:
    if len(rows) != 1:
        raise ValueError(f"The seed must hold exactly one row here, and holds {len(rows)}:\n{rows}")
    return float(rows[column].iloc[0])


def _typed(view: str, frame: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, object] = {}
    for kind, name in ((column[0], column[1:]) for column in COLUMNS[view].split()):
        values = frame[name] if name in frame else pd.Series([None] * len(frame), dtype=object)
        if kind == "#":
            columns[name] = _whole(values)
        elif kind == "@":
            columns[name] = _days(values)
        elif kind == "%":
            columns[name] = pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            known = values.astype(object)
            columns[name] = known.where(known.notna(), None).to_numpy(dtype=object)
    typed = pd.DataFrame(columns)
    key = next(iter(columns))
    if COLUMNS[view][0] == "#":
        keys = typed[key].to_numpy()
        if len(keys) > 1 and not bool(np.all(keys[1:] >= keys[:-1])):
            typed = typed.sort_values(key, kind="stable").reset_index(drop=True)
    return typed


def _whole(values: pd.Series) -> IntArray:
    if values.dtype == np.int64:
        return np.asarray(values.to_numpy(), dtype=np.int64)
    return np.asarray(
        pd.to_numeric(values).astype("Int64").to_numpy(dtype=np.int64, na_value=UNKNOWN),
        dtype=np.int64,
    )


def _days(values: pd.Series) -> IntArray:
    if values.dtype == np.int64:
        return np.asarray(values.to_numpy(), dtype=np.int64)
    days = pd.to_datetime(values).to_numpy().astype("datetime64[D]")
    return np.where(np.isnat(days), UNKNOWN, days.astype(np.int64)).astype(np.int64)
