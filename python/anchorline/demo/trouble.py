"""A small batch with good rows and, beside them, one or more rows of each kind that is not true.

The bad rows have no truth; they change nothing in that of the good ones.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from anchorline.demo.batch_plan import new_stay
from anchorline.demo.biology import EGG, FRY, SMOLT, STAGE_DAYS, STAGES
from anchorline.demo.plan import BatchPlan, LineagePlan, Move, Stay, to_date
from anchorline.demo.registry import Records
from anchorline.demo.scenarios import DAILY_MORTALITY_MODEL, FCR_MODEL
from anchorline.demo.sites import PARAMETER_ID, SITES, ContainerPool
from anchorline.demo.writing import at_hour

MISSING_ID: Final = 999_999_999
"""An id that no record has."""

_AGE_DAYS: Final = 130
_MOVED_ON_DAY: Final = 80
_EGGS: Final = 20_000
_BAD_DAY: Final = 95
"""Day of life of most bad rows: the fish are in their second tanks."""


def plan_trouble(
    lineage: LineagePlan, records: Records, pool: ContainerPool, index: int
) -> BatchPlan:
    """Plan the batch with its good stays: two trays, then two tanks."""
    batch = BatchPlan(
        index=index,
        batch_id=records.ids.take("batch_batch"),
        batch_number="TROUBLE-001",
        batch_type="STANDARD",
        site=SITES[0],
        start_day=start_day(lineage.horizon_day),
        features=frozenset({"no_scenario"}),
        tgc_factor=1.0,
        mortality_factor=1.0,
        is_count_lowered=False,
    )
    lineage.batches.append(batch)
    for _ in range(2):
        day = batch.start_day
        tray = new_stay(lineage, records, pool, batch, EGG, day)
        lineage.moves.append(Move("stocking", day, dest=tray, count=_EGGS, recorded_count=_EGGS))
    for tray in list(batch.stays):
        day = batch.start_day + _MOVED_ON_DAY
        tank = new_stay(lineage, records, pool, batch, FRY, day)
        tray.departure_day = day
        lineage.moves.append(Move("transfer", day, tray, tank, workflow="stage 0"))
    return batch


def start_day(horizon_day: int) -> int:
    """Return the first day of the batch [since 1970]; `horizon_day` is that after the load."""
    return horizon_day - 1 - _AGE_DAYS


def treatment_day(horizon_day: int) -> int:
    """Return the day [since 1970] of the treatments whose sampling does not fit."""
    return start_day(horizon_day) + _BAD_DAY + 6


class Trouble:
    """Adds the bad rows of the batch."""

    def __init__(self, batch: BatchPlan, records: Records, pool: ContainerPool) -> None:
        self._batch = batch
        self._records = records
        self._pool = pool
        self._tray, _, self._tank, self._other_tank = batch.stays
        self._workflow_actions = 0

    def add(self, foreign_assignment_id: int, as_of_day: int, *, readings: bool) -> None:
        """Add all bad rows; the foreign assignment belongs to another batch."""
        self._records.case("trouble_batch", "batch_batch", self._batch.batch_id)
        self._add_samples(as_of_day)
        self._add_deaths()
        self._add_feed(as_of_day)
        self._add_assignments()
        self._add_transfers()
        self._add_creation()
        self._add_scenario()
        self._add_treatments(foreign_assignment_id, as_of_day)
        if readings:
            self._add_readings()

    def _day(self, day_of_life: int) -> int:
        return self._batch.start_day + day_of_life

    def _bad(self, case: str, table: str, **values: Any) -> int:
        record_id = self._records.add(table, **values)
        self._records.case(case, table, record_id)
        return record_id

    def _add_samples(self, as_of_day: int) -> None:
        tray_end = self._tray.departure_day or 0
        for case, stay, day, weight_g in (
            ("bad_weight_zero", self._tank, self._day(_BAD_DAY), 0.0),
            ("bad_weight_negative", self._tank, self._day(_BAD_DAY + 1), -5.0),
            ("bad_weight_too_large", self._tank, self._day(_BAD_DAY + 2), 60_000.0),
            ("bad_sample_outside_assignment", self._tray, tray_end + 5, 0.4),
            ("bad_sample_in_future", self._other_tank, as_of_day + 3, 4.0),
        ):
            self._bad(
                case,
                "batch_growthsample",
                sample_date=to_date(day),
                sample_size=30,
                avg_weight_g=weight_g,
                assignment_id=stay.assignment_id,
            )

    def _add_deaths(self) -> None:
        for case, stay, day, count in (
            ("bad_death_count_negative", self._tank, self._day(_BAD_DAY), -5),
            ("bad_death_without_fish", None, self._day(-5), 7),
            ("bad_death_outside_assignment", self._tank, self._day(10), 9),
        ):
            self._bad(
                case,
                "batch_mortalityevent",
                event_date=to_date(day),
                count=count,
                batch_id=self._batch.batch_id,
                assignment_id=None if stay is None else stay.assignment_id,
            )

    def _add_feed(self, as_of_day: int) -> None:
        for case, day, amount_kg in (
            ("bad_feed_negative", self._day(_BAD_DAY), -2.0),
            ("bad_feed_in_future", as_of_day + 2, 2.0),
        ):
            self._bad(
                case,
                "inventory_feedingevent",
                feeding_date=to_date(day),
                feeding_time="09:00:00",
                amount_kg=amount_kg,
                batch_id=self._batch.batch_id,
                batch_assignment_id=self._other_tank.assignment_id,
                container_id=self._other_tank.container.container_id,
                feed_id=1,
                method="MANUAL",
            )

    def _assignment(self, container_id: int | None, **values: Any) -> int:
        """Add an assignment that has no truth; in a container of its own unless one is given."""
        if container_id is None:
            first_day = self._batch.start_day
            pool_container = self._pool.take(
                self._batch.site, SMOLT, first_day, first_day + _AGE_DAYS
            )
            container_id = pool_container.container_id
        row = {
            "population_count": 0,
            "is_active": False,
            "batch_id": self._batch.batch_id,
            "container_id": container_id,
            "lifecycle_stage_id": STAGES[FRY].stage_id,
            "avg_weight_g": STAGES[FRY].min_weight_g,
            "notes": "Entered by mistake",
        }
        return self._records.add("batch_batchcontainerassignment", **{**row, **values})

    def _add_assignments(self) -> None:
        table = "batch_batchcontainerassignment"
        for case, container_id, first_day, end_day, values in (
            ("bad_departure_before_assignment", None, 50, 40, {}),
            ("bad_overlapping_assignment", self._tank.container.container_id, 85, 95, {}),
            ("bad_stage_missing", None, 20, 30, {"lifecycle_stage_id": MISSING_ID}),
        ):
            assignment_id = self._assignment(
                container_id,
                assignment_date=to_date(self._day(first_day)),
                departure_date=to_date(self._day(end_day)),
                population_count=500,
                **values,
            )
            self._records.case(case, table, assignment_id)

    def _transfer(self, case: str, workflow_id: int, **values: Any) -> None:
        self._workflow_actions += 1
        row = {
            "action_number": self._workflow_actions,
            "source_population_before": 1000,
            "transferred_count": 500,
            "status": "COMPLETED",
            "planned_date": to_date(self._day(_BAD_DAY)),
            "actual_execution_date": to_date(self._day(_BAD_DAY)),
            "workflow_id": workflow_id,
        }
        self._bad(case, "batch_transferaction", **{**row, **values})

    def _add_transfers(self) -> None:
        day = to_date(self._day(_BAD_DAY))
        workflow_id = self._records.add(
            "batch_batchtransferworkflow",
            workflow_number=f"TRF-{self._batch.batch_number}-TROUBLE",
            workflow_type="CONTAINER_REDISTRIBUTION",
            status="COMPLETED",
            planned_start_date=day,
            batch_id=self._batch.batch_id,
            source_lifecycle_stage_id=STAGES[FRY].stage_id,
        )
        tank, other = self._tank.assignment_id, self._other_tank.assignment_id
        for case, source, dest, values in (
            ("bad_transfer_without_source", MISSING_ID, other, {}),
            ("bad_transfer_into_itself", tank, tank, {}),
            ("bad_transfer_without_date", tank, other, {"actual_execution_date": None}),
            ("bad_transfer_count_negative", tank, other, {"transferred_count": -50}),
            (
                "bad_selection_method",
                tank,
                other,
                {
                    "selection_method": "RANDOM",
                    "measured_avg_weight_g": 1.5,
                    "measured_sample_size": 30,
                    "transferred_count": 0,
                },
            ),
        ):
            self._transfer(
                case,
                workflow_id,
                source_assignment_id=source,
                dest_assignment_id=dest,
                **values,
            )
        circle = [
            self._assignment(
                None,
                assignment_date=day,
                departure_date=day + timedelta(days=5),
                notes="A circle of transfers",
            )
            for _ in range(2)
        ]
        for source, dest in (circle, circle[::-1]):
            self._transfer(
                "bad_transfer_cycle",
                workflow_id,
                source_assignment_id=source,
                dest_assignment_id=dest,
                transferred_count=100,
                source_population_before=100,
            )

    def _add_creation(self) -> None:
        day = to_date(self._day(1))
        workflow_id = self._records.add(
            "batch_creationworkflow",
            workflow_number=f"CRT-{self._batch.batch_number}-TROUBLE",
            status="COMPLETED",
            egg_source_type="EXTERNAL",
            planned_start_date=day,
            planned_completion_date=day,
            batch_id=self._batch.batch_id,
        )
        self._bad(
            "bad_creation_count_negative",
            "batch_creationaction",
            action_number=1,
            status="COMPLETED",
            egg_count_planned=1000,
            egg_count_actual=-1000,
            expected_delivery_date=day,
            actual_delivery_date=day,
            dest_assignment_id=self._tray.assignment_id,
            workflow_id=workflow_id,
        )

    def _add_scenario(self) -> None:
        self._bad(
            "bad_scenario_model_missing",
            "scenario",
            key="scenario_id",
            name=f"Without model - {self._batch.batch_number}",
            start_date=to_date(self._batch.start_day),
            duration_days=10 * STAGE_DAYS,
            initial_count=2 * _EGGS,
            initial_weight=0.1,
            batch_id=self._batch.batch_id,
            fcr_model_id=FCR_MODEL,
            mortality_model_id=DAILY_MORTALITY_MODEL,
            tgc_model_id=MISSING_ID,
        )

    def _add_treatments(self, foreign_assignment_id: int, as_of_day: int) -> None:
        day = treatment_day(as_of_day + 1)
        for case, assignment_id, weight_g, days_later in (
            ("bad_treatment_other_batch", foreign_assignment_id, None, 0),
            ("bad_treatment_too_far", self._other_tank.assignment_id, 1.0, 5),
        ):
            event_id = self._records.add(
                "health_healthsamplingevent",
                sampling_date=to_date(day),
                number_of_fish_sampled=20,
                assignment_id=assignment_id,
                avg_weight_g=weight_g,
            )
            self._bad(
                case,
                "health_treatment",
                treatment_date=at_hour(day + days_later, 10),
                treatment_type="vaccination",
                batch_id=self._batch.batch_id,
                batch_assignment_id=self._other_tank.assignment_id,
                container_id=self._other_tank.container.container_id,
                includes_weighing=True,
                sampling_event_id=event_id,
            )

    def _bad_reading(self, stay: Stay, hour: int, value: float) -> None:
        day = self._day(_BAD_DAY)
        self._bad(
            "bad_temperature",
            "environmental_environmentalreading",
            value=value,
            reading_time=at_hour(day, hour),
            created_at=at_hour(day, hour),
            batch_id=self._batch.batch_id,
            container_id=stay.container.container_id,
            parameter_id=PARAMETER_ID,
            sensor_id=stay.container.sensor_id,
            batch_container_assignment_id=stay.assignment_id,
        )

    def _add_readings(self) -> None:
        for hour, value in ((3, 99.9), (9, -40.0), (21, 31.0)):
            self._bad_reading(self._tank, hour, value)
