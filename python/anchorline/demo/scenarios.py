"""What is planned: models, scenarios, projection runs, activity templates and activities."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import numpy as np

from anchorline.demo.biology import (
    ADULT,
    EGG_WEIGHT_G,
    FIRST_FED_STAGE,
    LIFE_DAYS,
    SEA_START_DAY,
    STAGE_DAYS,
    STAGES,
    seasonal_temp_c,
)
from anchorline.demo.plan import BatchPlan, day_number, to_date
from anchorline.demo.registry import Records
from anchorline.demo.sites import SITES, Site
from anchorline.demo.writing import at_hour

DAILY_MORTALITY_MODEL: Final = 1
WEEKLY_MORTALITY_MODEL: Final = 2
CONSTRAINT_SET: Final = 1
FCR_MODEL: Final = 1

_PROFILE_STEP_DAYS: Final = 10
_CHANGE_DAY: Final = 200
_REVISED_TGC_FACTOR: Final = 0.97
_SPECIES: Final = (
    (1, "Atlantic Salmon", "Salmo salar"),
    (2, "Regnbogasíl", "Oncorhynchus mykiss"),
)
_OVERRIDE_NAMES: Final = {
    1: ("Egg&Alevin", "Fry", "Parr", "Smolt", "Post-Smolt", "Adult"),
    2: ("egg & alevin", " FRY ", "parr", "SMOLT", "post_smolt", "ADULT"),
}
"""How each site's models write the names of the stages."""

_FEEDS: Final = (
    ("Starter 0.5mm", "MICRO", 0.5),
    ("Starter 1.0mm", "SMALL", 1.0),
    ("Grower 2.0mm", "MEDIUM", 2.0),
    ("Grower 3.0mm", "MEDIUM", 3.0),
    ("Finisher 6.0mm", "LARGE", 6.0),
)
_TEMPLATES: Final = (
    # name, type, trigger, day, weight g, target stage
    ("Move to fry tanks", "TRANSFER", "DAY_OFFSET", 90, None, 2),
    ("Vaccinate before smoltification", "VACCINATION", "DAY_OFFSET", 255, None, 4),
    ("Mid-cycle sampling", "SAMPLING", "DAY_OFFSET", 600, None, 6),
    ("Harvest", "HARVEST", "DAY_OFFSET", 865, None, 6),
    ("Coarser feed at 50 g", "FEED_CHANGE", "WEIGHT_THRESHOLD", None, 50.0, None),
    ("Lice count from 1 kg", "TREATMENT", "WEIGHT_THRESHOLD", None, 1000.0, None),
    ("Health check of new post-smolts", "SAMPLING", "STAGE_TRANSITION", None, None, 5),
    ("Treat susceptible fish", "TREATMENT", "GENETIC_THRESHOLD", None, None, None),
    ("Weigh large fish", "SAMPLING", "WEIGHT_THRESHOLD", None, 3000.0, None),
)
_TEMPLATE_NOTES: Final = {
    "Coarser feed at 50 g": "Change to Grower 3.0mm within a week.",
    "Weigh large fish": "Weigh 100 fish of each pen, to plan the harvest.",
}
"""What activities say that are made from a template; of others its name."""
_CHORES: Final = (
    # case, notes, due on day of life, days late (null: cancelled), in one container
    ("activity_of_container", "Clean the outlet of the tray", 15, 1, True),
    ("activity_early", "Disinfect the hatchery", 20, -6, False),
    ("activity_late", "Calibrate the oxygen probes", 25, 9, False),
    ("activity_cancelled", "Renew the screens", 30, None, False),
)
_OPEN_CHORES: Final = (
    # case, notes, due days after the load, in one container
    ("activity_overdue", "Service the feeders", -10, False),
    ("activity_of_container", "Inspect the moorings", 30, True),
)


class Scenarios:
    """Plans of batches; models are made once, profiles per site and quarter of the start."""

    def __init__(self, records: Records, as_of: date) -> None:
        self._records = records
        self._as_of = as_of
        self._models: dict[tuple[int, int, bool], int] = {}
        self.of_batch: dict[int, int] = {}
        """Batch id to the scenario that its activities name."""
        self.templates: dict[str, int] = {}
        """Name of an activity template to its id."""

    def add_farm_wide(self) -> None:
        """Add species, stages, feeds and the models that do not depend on a batch."""
        records = self._records
        for species_id, name, scientific_name in _SPECIES:
            records.add("batch_species", id=species_id, name=name, scientific_name=scientific_name)
        for place, stage in enumerate(STAGES):
            records.add(
                "batch_lifecyclestage",
                id=stage.stage_id,
                name=stage.name,
                order=place + 1,
                expected_weight_min_g=stage.min_weight_g,
                expected_weight_max_g=stage.max_weight_g,
                species_id=1,
                typical_duration_days=STAGE_DAYS if place < ADULT else None,
            )
        for place, name in enumerate(("Hrogn", "Seiði", "Matfiskur"), start=1):
            records.add("batch_lifecyclestage", id=10 + place, name=name, order=place, species_id=2)
        for name, size, pellet_mm in _FEEDS:
            records.add(
                "inventory_feed",
                name=name,
                brand="Havsbrún",
                size_category=size,
                pellet_size_mm=pellet_mm,
                is_active=True,
            )
        self._add_mortality_and_fcr()
        self._add_constraints()
        for name, activity, trigger, day, weight_g, stage_id in _TEMPLATES:
            template_id = records.add(
                "planning_activitytemplate",
                name=name,
                activity_type=activity,
                trigger_type=trigger,
                day_offset=day,
                weight_threshold_g=weight_g,
                notes_template=_TEMPLATE_NOTES.get(name),
                is_active=True,
                target_lifecycle_stage_id=stage_id,
            )
            self.templates[name] = template_id
            records.case(f"template_{trigger.lower()}", "planning_activitytemplate", template_id)

    def _add_mortality_and_fcr(self) -> None:
        records = self._records
        for model_id, name, frequency, rate in (
            (DAILY_MORTALITY_MODEL, "Standard mortality", "daily", 0.03),
            (WEEKLY_MORTALITY_MODEL, "Weekly mortality", "weekly", 0.2),
        ):
            records.add(
                "scenario_mortalitymodel",
                key="model_id",
                model_id=model_id,
                name=name,
                frequency=frequency,
                rate=rate,
            )
        records.case("mortality_weekly", "scenario_mortalitymodel", WEEKLY_MORTALITY_MODEL)
        for stage, name in zip(STAGES[:3], _OVERRIDE_NAMES[2], strict=False):
            override_id = records.add(
                "scenario_mortality_model_stage",
                lifecycle_stage=name,
                daily_rate_percent=stage.daily_mortality_percent,
                weekly_rate_percent=stage.daily_mortality_percent * 7 if name == "parr" else None,
                mortality_model_id=DAILY_MORTALITY_MODEL,
            )
            records.case("stage_override_folded", "scenario_mortality_model_stage", override_id)
        records.add("scenario_fcrmodel", key="model_id", model_id=FCR_MODEL, name="Standard FCR")
        for place, stage in enumerate(STAGES):
            stage_row_id = records.add(
                "scenario_fcrmodelstage",
                fcr_value=stage.fcr,
                duration_days=STAGE_DAYS if place < ADULT else LIFE_DAYS - SEA_START_DAY,
                model_id=FCR_MODEL,
                stage_id=stage.stage_id,
            )
            if place == ADULT:
                records.add(
                    "scenario_fcr_model_stage_override",
                    min_weight_g=3000,
                    max_weight_g=7000,
                    fcr_value=stage.fcr + 0.1,
                    fcr_stage_id=stage_row_id,
                )

    def _add_constraints(self) -> None:
        records = self._records
        records.add(
            "scenario_biological_constraints",
            id=CONSTRAINT_SET,
            name="Farm standard",
            is_active=True,
        )
        for stage, name in zip(STAGES, _OVERRIDE_NAMES[2], strict=True):
            records.add(
                "scenario_stage_constraint",
                lifecycle_stage=name,
                min_weight_g=stage.min_weight_g,
                max_weight_g=stage.max_weight_g,
                typical_duration_days=STAGE_DAYS,
                constraint_set_id=CONSTRAINT_SET,
            )

    def _tgc_model(self, site: Site, start: date, *, is_revised: bool = False) -> int:
        """Return the TGC model of a site for a quarter of the year; make it where it is new."""
        quarter = (start.month - 1) // 3
        key = (site.geography_id, quarter, is_revised)
        if key in self._models:
            return self._models[key]
        records = self._records
        label = f"{site.name} Q{quarter + 1}" + (" revised" if is_revised else "")
        profile_id = records.add("scenario_temperatureprofile", key="profile_id", name=label)
        for day in range(1, LIFE_DAYS + 2, _PROFILE_STEP_DAYS):
            records.add(
                "scenario_temperaturereading",
                key="reading_id",
                temperature=_profile_temp_c(site, quarter, day),
                profile_id=profile_id,
                day_number=day,
            )
        factor = site.tgc_factor * (_REVISED_TGC_FACTOR if is_revised else 1.0)
        adult_tgc = STAGES[ADULT].tgc * factor
        is_divided = site is SITES[0]
        model_id = records.add(
            "scenario_tgcmodel",
            key="model_id",
            name=label,
            location=site.name,
            release_period=f"Q{quarter + 1}",
            tgc_value=round(adult_tgc / 1000.0, 6) if is_divided else round(adult_tgc, 4),
            exponent_n=0.33,
            exponent_m=0.66,
            profile_id=profile_id,
        )
        if is_divided:
            records.case("tgc_divided_by_1000", "scenario_tgcmodel", model_id)
        names = _OVERRIDE_NAMES[site.geography_id]
        for place, (stage, name) in enumerate(zip(STAGES, names, strict=True)):
            if place == ADULT and is_divided:
                continue  # the model's own value holds
            override_id = records.add(
                "scenario_tgc_model_stage",
                lifecycle_stage=name,
                tgc_value=round(stage.tgc * factor, 4),
                temperature_exponent=1.0,
                weight_exponent=0.33,
                tgc_model_id=model_id,
            )
            if place == FIRST_FED_STAGE:
                records.case("tgc_per_1000", "scenario_tgc_model_stage", override_id)
        self._models[key] = model_id
        return model_id

    def add_batch(self, batch: BatchPlan, stocked_count: int) -> int | None:
        """Add a batch's scenarios and return the projection run that it is pinned to."""
        records = self._records
        if "no_scenario" in batch.features:
            if batch.batch_type == "STANDARD":
                records.case("batch_without_scenario", "batch_batch", batch.batch_id)
            return None
        start = to_date(batch.start_day)
        scenario_id = self._scenario(batch, start, stocked_count, "Baseline")
        self.of_batch[batch.batch_id] = scenario_id
        if "pinned" not in batch.features and batch.index < 3:
            records.case("not_pinned", "batch_batch", batch.batch_id)
        pinned_run_id = None
        if "pinned" in batch.features:
            scenario_id = self._scenario(batch, start, stocked_count, "Revised", is_revised=True)
            pinned_run_id = records.add(
                "scenario_projection_run",
                key="run_id",
                run_date=at_hour(batch.start_day + 10, 9),
                run_number=1,
                label="Revised after delivery",
                scenario_id=scenario_id,
            )
            records.case("pinned_run", "batch_batch", batch.batch_id)
        if "model_change" in batch.features:
            change_id = records.add(
                "scenario_scenariomodelchange",
                key="change_id",
                change_day=_CHANGE_DAY,
                new_tgc_model_id=self._tgc_model(batch.site, start, is_revised=True),
                new_mortality_model_id=WEEKLY_MORTALITY_MODEL,
                scenario_id=scenario_id,
            )
            records.case("scenario_model_change", "scenario_scenariomodelchange", change_id)
        self._add_activities(batch)
        self._add_chores(batch)
        return pinned_run_id

    def _scenario(
        self,
        batch: BatchPlan,
        start: date,
        stocked_count: int,
        label: str,
        *,
        is_revised: bool = False,
    ) -> int:
        has_constraints = batch.index % 3 == 0
        is_weekly = batch.index % 4 == 3
        scenario_id = self._records.add(
            "scenario",
            key="scenario_id",
            name=f"{label} - {batch.batch_number}",
            start_date=start,
            duration_days=LIFE_DAYS,
            initial_count=stocked_count,
            genotype="Standard",
            supplier="External",
            initial_weight=None if batch.index % 5 == 4 else EGG_WEIGHT_G,
            batch_id=batch.batch_id,
            fcr_model_id=FCR_MODEL,
            mortality_model_id=WEEKLY_MORTALITY_MODEL if is_weekly else DAILY_MORTALITY_MODEL,
            tgc_model_id=self._tgc_model(batch.site, start, is_revised=is_revised),
            biological_constraints_id=CONSTRAINT_SET if has_constraints else None,
        )
        if has_constraints:
            self._records.case("stage_constraints", "scenario", scenario_id)
        return scenario_id

    def _add_activities(self, batch: BatchPlan) -> None:
        """Plan what the templates ask for by day of life; what is past was done."""
        for name, activity_type, _, day_offset, _, _ in _TEMPLATES:
            if day_offset is None:
                continue
            due_date = to_date(batch.start_day + day_offset)
            is_done = due_date < self._as_of
            row: dict[str, Any] = {
                "activity_type": activity_type,
                "due_date": due_date,
                "status": "COMPLETED" if is_done else "PENDING",
                "notes": name,
                "completed_at": at_hour(due_date, 14) if is_done else None,
                "batch_id": batch.batch_id,
                "scenario_id": self.of_batch[batch.batch_id],
            }
            activity_id = self._records.add("planning_plannedactivity", **row)
            if batch.index < 2:
                self._records.case("planned_activity", "planning_plannedactivity", activity_id)

    def _add_chores(self, batch: BatchPlan) -> None:
        """Plan upkeep that was done early or late, or was not done, some of it in one container."""
        today = day_number(self._as_of)
        for case, notes, life_day, days_late, is_in_container in _CHORES:
            due_day = batch.start_day + life_day - 1
            if due_day + (days_late or 0) > today:
                continue
            self._add_chore(
                case,
                batch,
                notes=notes,
                due_date=to_date(due_day),
                status="CANCELLED" if days_late is None else "COMPLETED",
                completed_at=None if days_late is None else at_hour(due_day + days_late, 10),
                container_id=batch.stays[0].container.container_id if is_in_container else None,
            )
        open_stays = [stay for stay in batch.stays if stay.end_day(today + 1) > today]
        if not open_stays:
            return
        for case, notes, days_ahead, is_in_container in _OPEN_CHORES:
            self._add_chore(
                case,
                batch,
                notes=notes,
                due_date=to_date(today + days_ahead),
                status="PENDING",
                completed_at=None,
                container_id=open_stays[0].container.container_id if is_in_container else None,
            )

    def _add_chore(self, case: str, batch: BatchPlan, **values: Any) -> None:
        activity_id = self._records.add(
            "planning_plannedactivity",
            activity_type="MAINTENANCE",
            batch_id=batch.batch_id,
            scenario_id=self.of_batch[batch.batch_id],
            **values,
        )
        self._records.case(case, "planning_plannedactivity", activity_id)


def _profile_temp_c(site: Site, quarter: int, day: int) -> float:
    """Return the planned water [°C] on a day of life of a batch started in mid-quarter."""
    if day < SEA_START_DAY:
        return STAGES[day // STAGE_DAYS].fresh_water_c or site.sea_mean_c
    day_of_year = (quarter * 91.3 + 45.0 + day) % 365.25
    temp_c = seasonal_temp_c(site.sea_mean_c, site.sea_amplitude_c, np.array([day_of_year]))
    return round(float(temp_c[0]), 2)
