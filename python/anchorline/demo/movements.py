"""Deliveries, transfers and harvests as a farm writes them down, and its live counts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from anchorline.demo.biology import ADULT, EGG, EGG_WEIGHT_G, STAGES, WEIGHT_CV, Integers
from anchorline.demo.plan import BatchPlan, LineagePlan, Move, Stay, to_date
from anchorline.demo.registry import Records
from anchorline.demo.weights import NewestWeights, observed_weight_g
from anchorline.demo.writing import at_hour

_GRADES: Final = (0.10, 0.40, 0.35, 0.15)
"""Shares of a harvest in its lots, by product grade."""

_PLANNED_TRANSFERS: Final = 2


class MovementRecords:
    """What is written down of a lineage's movements, in the order in which they happened.

    `booked_deaths` are the deaths that the books know, per stay and day. A book is not the
    truth: it misses what nobody wrote down.
    """

    def __init__(
        self,
        plan: LineagePlan,
        records: Records,
        rng: np.random.Generator,
        booked_deaths: Integers,
        scenario_ids: dict[int, int],
    ) -> None:
        self._plan = plan
        self._records = records
        self._rng = rng
        self._scenario_ids = scenario_ids
        self._deaths_before = np.cumsum(booked_deaths, axis=1)
        self._deaths_on_departure_day = np.zeros(len(plan.stays), dtype=np.int64)
        self._arrived = np.zeros(len(plan.stays), dtype=np.int64)
        self._departed = np.zeros(len(plan.stays), dtype=np.int64)
        self._workflows: dict[tuple[int, str], dict[str, Any]] = {}
        self._creations: dict[int, dict[str, Any]] = {}

    def add(self, newest: NewestWeights) -> None:
        """Add all movements, then the assignments with the counts that they have led to."""
        moves = sorted(self._plan.moves, key=lambda move: move.day)
        for place, move in enumerate(moves):
            if move.kind == "stocking":
                self._add_stocking(move)
            elif move.kind == "deaths" and move.source is not None:
                self._deaths_on_departure_day[move.source.index] += move.moved_count
            elif move.kind == "harvest":
                self._add_harvest(move)
            elif move.kind == "transfer":
                follower = moves[place + 1] if move.record == "absorbing" else None
                self._add_transfer(move, follower)
            self._add_true_movement(move)
        for batch in self._plan.batches:
            self._add_planned_transfers(batch)
        for stay in self._plan.stays:
            self._add_assignment(stay, newest)

    def _book(self, stay: Stay, day: int) -> int:
        """Return the fish that the book holds at a stay on a day, before what moves next."""
        column = min(day - self._plan.origin_day, self._deaths_before.shape[1]) - 1
        deaths = int(self._deaths_before[stay.index, column]) if column >= 0 else 0
        deaths += int(self._deaths_on_departure_day[stay.index])
        return max(int(self._arrived[stay.index]) - int(self._departed[stay.index]) - deaths, 0)

    def _add_stocking(self, move: Move) -> None:
        stay = _needed(move.dest)
        batch, day = stay.batch, to_date(move.day)
        workflow = self._creations.get(batch.batch_id)
        if workflow is None:
            workflow_id = self._records.add(
                "batch_creationworkflow",
                workflow_number=f"CRT-{batch.batch_number}",
                status="COMPLETED",
                egg_source_type="EXTERNAL",
                planned_start_date=day,
                planned_completion_date=day,
                actual_start_date=day,
                batch_id=batch.batch_id,
                progress_percentage=100,
            )
            workflow = {"id": workflow_id, "actions": 0}
            self._creations[batch.batch_id] = workflow
        workflow["actions"] += 1
        arrival_losses = int(self._rng.integers(0, 200))
        action_id = self._records.add(
            "batch_creationaction",
            action_number=workflow["actions"],
            status="COMPLETED",
            egg_count_planned=round(move.recorded_count, -3),
            egg_count_actual=move.recorded_count + arrival_losses,
            mortality_on_arrival=arrival_losses,
            expected_delivery_date=day,
            actual_delivery_date=day,
            delivery_method="TRANSPORT",
            dest_assignment_id=stay.assignment_id,
            workflow_id=workflow["id"],
        )
        self._arrived[stay.index] += move.recorded_count
        self._register(move, "batch_creationaction", action_id)

    def _workflow(self, batch: BatchPlan, move: Move, dest: Stay) -> dict[str, Any]:
        key = (batch.batch_id, move.workflow)
        if key in self._workflows:
            return self._workflows[key]
        source = _needed(move.source)
        is_transition = move.workflow.startswith("stage")
        row = self._workflow_row(batch, source.stage, move.arrival_day, move.workflow)
        row["workflow_type"] = (
            "LIFECYCLE_TRANSITION" if is_transition else "CONTAINER_REDISTRIBUTION"
        )
        if is_transition:
            row["dest_lifecycle_stage_id"] = STAGES[min(source.stage + 1, ADULT)].stage_id
        else:
            row["dest_lifecycle_stage_id"] = STAGES[dest.stage].stage_id
        scenario_id = self._scenario_ids.get(batch.batch_id)
        if is_transition and scenario_id is not None and batch.index % 3 == 0:
            row["planned_activity_id"] = self._records.add(
                "planning_plannedactivity",
                activity_type="TRANSFER",
                due_date=to_date(move.day - int(self._rng.integers(-3, 4))),
                status="COMPLETED",
                notes=f"Move on from {STAGES[source.stage].name}",
                completed_at=at_hour(move.day, 15),
                batch_id=batch.batch_id,
                created_by_id=1,
                scenario_id=scenario_id,
                transfer_workflow_id=row["id"],
            )
            self._records.case(
                "planned_activity_transfer", "batch_batchtransferworkflow", row["id"]
            )
        self._workflows[key] = row
        return row

    def _workflow_row(
        self, batch: BatchPlan, stage: int, day: int, label: str, status: str = "COMPLETED"
    ) -> dict[str, Any]:
        workflow_id = self._records.ids.take("batch_batchtransferworkflow")
        row: dict[str, Any] = {
            "id": workflow_id,
            "workflow_number": f"TRF-{batch.batch_number}-{label.replace(' ', '-')}".upper(),
            "workflow_type": "LIFECYCLE_TRANSITION",
            "status": status,
            "planned_start_date": to_date(day),
            "planned_completion_date": to_date(day),
            "actual_start_date": to_date(day) if status == "COMPLETED" else None,
            "actual_completion_date": to_date(day) if status == "COMPLETED" else None,
            "batch_id": batch.batch_id,
            "dest_lifecycle_stage_id": STAGES[min(stage + 1, ADULT)].stage_id,
            "source_lifecycle_stage_id": STAGES[stage].stage_id,
            "planned_activity_id": None,
            "total_actions_planned": 0,
            "actions_completed": 0,
            "completion_percentage": 100 if status == "COMPLETED" else 0,
        }
        self._records.rows["batch_batchtransferworkflow"].append(row)
        return row

    def _add_transfer(self, move: Move, follower: Move | None) -> None:
        source, dest = _needed(move.source), _needed(move.dest)
        before = self._book(source, move.day)
        if move.record == "none":
            for case in move.cases:
                self._records.case(case, "batch_batchcontainerassignment", dest.assignment_id)
        else:
            workflow = self._workflow(source.batch, move, dest)
            workflow["total_actions_planned"] += 1
            workflow["actions_completed"] += 1
            lost = move.lost_count
            if follower is not None:
                # The form had no line for the second pen: its fish were booked as dead.
                lost += follower.moved_count + follower.lost_count
            action_id = self._records.add(
                "batch_transferaction",
                action_number=workflow["actions_completed"],
                source_population_before=before,
                transferred_count=move.moved_count,
                mortality_during_transfer=lost,
                transferred_biomass_kg=move.moved_count * move.weight_g / 1000.0,
                status="COMPLETED",
                planned_date=to_date(move.day),
                actual_execution_date=to_date(move.arrival_day),
                transfer_method="PUMP",
                dest_assignment_id=dest.assignment_id,
                source_assignment_id=source.assignment_id,
                workflow_id=workflow["id"],
                selection_method=move.selection_method,
                allow_mixed=dest.batch.batch_type == "MIXED",
                dest_container_id=dest.container.container_id,
                **self._measurement(move),
            )
            self._register(move, "batch_transferaction", action_id)
        self._departed[source.index] += move.moved_count + move.lost_count
        self._arrived[dest.index] += move.moved_count

    def _measurement(self, move: Move) -> dict[str, Any]:
        if not move.is_measured:
            return {}
        size = int(self._rng.choice([30, 50, 80]))
        weight_g = observed_weight_g(self._rng, move.weight_g, size)
        has_spread = bool(self._rng.random() < 0.8)
        return {
            "measured_avg_weight_g": round(weight_g, 2),
            "measured_std_dev_weight_g": round(weight_g * WEIGHT_CV, 2) if has_spread else None,
            "measured_sample_size": size,
        }

    def _add_harvest(self, move: Move) -> None:
        pen = _needed(move.source)
        event_id = self._records.add(
            "harvest_harvestevent",
            event_date=at_hour(move.day, 10),
            document_ref=f"HRV-{pen.batch.batch_number}-{pen.assignment_id}-{move.day}",
            assignment_id=pen.assignment_id,
            batch_id=pen.batch.batch_id,
            dest_geography_id=pen.batch.site.geography_id,
        )
        left = move.moved_count
        for grade, share in enumerate(_GRADES, start=1):
            is_last = grade == len(_GRADES)
            count = left if is_last else min(left, round(move.moved_count * share))
            left -= count
            live_kg = count * move.weight_g / 1000.0 * (0.9 + 0.05 * grade)
            self._records.add(
                "harvest_harvestlot",
                live_weight_kg=live_kg,
                gutted_weight_kg=live_kg * 0.85,
                unit_count=count,
                event_id=event_id,
                product_grade_id=grade,
            )
        self._departed[pen.index] += move.moved_count
        self._register(move, "harvest_harvestevent", event_id)

    def _register(self, move: Move, table: str, record_id: int) -> None:
        for case in move.cases:
            self._records.case(case, table, record_id)

    def _add_planned_transfers(self, batch: BatchPlan) -> None:
        """Add the next transfer of fish that are still in their tanks: planned, not done."""
        waiting = [
            stay
            for stay in batch.stays
            if stay.departure_day is None and stay.stage < ADULT and not stay.is_vessel
        ]
        if not waiting:
            return
        stage, day = waiting[0].stage, self._plan.horizon_day + 10
        workflow = self._workflow_row(batch, stage, day, f"next {stage}", "PLANNED")
        for number, stay in enumerate(waiting[:_PLANNED_TRANSFERS], start=1):
            book = self._book(stay, self._plan.horizon_day)
            action_id = self._records.add(
                "batch_transferaction",
                action_number=number,
                source_population_before=book,
                transferred_count=book,
                status=("PENDING", "IN_PROGRESS")[number % 2],
                planned_date=to_date(day),
                source_assignment_id=stay.assignment_id,
                workflow_id=workflow["id"],
            )
            workflow["total_actions_planned"] += 1
            self._records.case("transfer_pending", "batch_transferaction", action_id)

    def _add_assignment(self, stay: Stay, newest: NewestWeights) -> None:
        batch, horizon = stay.batch, self._plan.horizon_day
        is_over = stay.departure_day is not None or stay.last_harvest_day is not None
        count = self._book(stay, horizon)
        if not batch.is_count_lowered:
            count += int(self._departed[stay.index])
        weight_g = EGG_WEIGHT_G if stay.stage == EGG else STAGES[stay.stage].min_weight_g
        weighed = newest.get(stay.index)
        if weighed is not None and batch.is_count_lowered:
            weight_g = weighed[1]
        assignment_id = self._records.add(
            "batch_batchcontainerassignment",
            id=stay.assignment_id,
            population_count=count,
            biomass_kg=count * weight_g / 1000.0,
            assignment_date=to_date(stay.first_day),
            is_active=not is_over,
            batch_id=batch.batch_id,
            container_id=stay.container.container_id,
            lifecycle_stage_id=STAGES[stay.stage].stage_id,
            avg_weight_g=weight_g,
            departure_date=None if stay.departure_day is None else to_date(stay.departure_day),
            last_weighing_date=None if weighed is None else to_date(weighed[0]),
        )
        if is_over and stay is batch.stays[0]:
            case = "population_count_lowered" if batch.is_count_lowered else "population_count_kept"
            self._records.case(case, "batch_batchcontainerassignment", assignment_id)

    def _add_true_movement(self, move: Move) -> None:
        leaving = {
            "movement_type": move.kind,
            "from_assignment_id": None if move.source is None else move.source.assignment_id,
            "movement_date": to_date(move.day),
            "weight_g": move.weight_g,
            "is_recorded": move.record != "none",
        }
        self._records.movements.append(
            {
                **leaving,
                "movement_id": self._records.ids.take("demo_truth.movements"),
                "to_assignment_id": None if move.dest is None else move.dest.assignment_id,
                "arrival_date": None if move.dest is None else to_date(move.arrival_day),
                "fish_count": move.moved_count,
            }
        )
        if move.lost_count:
            self._records.movements.append(
                {
                    **leaving,
                    "movement_type": "transfer_mortality",
                    "movement_id": self._records.ids.take("demo_truth.movements"),
                    "fish_count": move.lost_count,
                }
            )


def _needed(stay: Stay | None) -> Stay:
    if stay is None:
        raise ValueError("a movement lacks the stay that its kind needs")
    return stay
