"""What suggests activities and what answers: parents of batches, and what became of suggestions."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from anchorline.demo.plan import BatchPlan, LineagePlan, day_number, to_date
from anchorline.demo.registry import Records
from anchorline.demo.writing import at_hour
from anchorline.planning import suggestion_marker

_BREEDING_PLANS: Final = (("Fast growth", 0.35), ("Robust fish", 0.8))
"""Each with its priority of disease resistance, from 0 to 1."""
_LATE_PARENTS_DAYS: Final = 10
"""So many days before the load the parents of some batches became known."""
_ANSWERS: Final = (
    # case, template, day of life on which it was due, status
    ("suggestion_published", "Coarser feed at 50 g", 262, "COMPLETED"),
    ("suggestion_declined", "Lice count from 1 kg", 555, "CANCELLED"),
)
_MOST_DAYS_TO_WEIGHING: Final = 14


class Planning:
    """The broodstock behind the batches, and planned activities that answer suggestions."""

    def __init__(self, records: Records, as_of: date, templates: dict[str, int]) -> None:
        self._records = records
        self._today = day_number(as_of)
        self._templates = templates

    def add_farm_wide(self) -> None:
        """Add the breeding plans, each with a pair and its eggs, and eggs from outside."""
        for number, (name, priority) in enumerate(_BREEDING_PLANS, start=1):
            self._records.add("broodstock_breedingplan", id=number, name=name)
            self._records.add(
                "broodstock_breedingtraitpriority",
                trait_name="disease_resistance",
                priority_weight=priority,
                plan_id=number,
            )
            self._records.add(
                "broodstock_breedingpair",
                id=number,
                plan_id=number,
                female_fish_id=2 * number - 1,
                male_fish_id=2 * number,
            )
            self._add_eggs(number, "INTERNAL", pair_id=number)
        self._add_eggs(len(_BREEDING_PLANS) + 1, "EXTERNAL", pair_id=None)

    def _add_eggs(self, number: int, source_type: str, *, pair_id: int | None) -> None:
        self._records.add(
            "broodstock_eggproduction",
            id=number,
            egg_batch_id=f"EGG-{number}",
            source_type=source_type,
            pair_id=pair_id,
        )

    def add_batch(self, batch: BatchPlan, scenario_id: int | None) -> None:
        """Add the parents of a batch, and what became of activities suggested for it."""
        if batch.batch_type != "STANDARD":
            return
        own_eggs, outside_eggs = range(1, len(_BREEDING_PLANS) + 1), len(_BREEDING_PLANS) + 1
        is_late = batch.end_day is None and batch.index % 8 <= 2
        known_day = self._today - _LATE_PARENTS_DAYS if is_late else batch.start_day + 3
        for eggs in own_eggs if batch.index % 2 == 0 else (outside_eggs,):
            parentage_id = self._records.add(
                "broodstock_batchparentage",
                batch_id=batch.batch_id,
                egg_production_id=eggs,
                assignment_date=at_hour(known_day, 12),
            )
            case = "eggs_from_outside" if eggs == outside_eggs else "parents_of_two_plans"
            self._records.case(case, "broodstock_batchparentage", parentage_id)
        if scenario_id is not None and batch.index % 3 == 0:
            self._answer(batch, scenario_id)

    def _answer(self, batch: BatchPlan, scenario_id: int) -> None:
        for case, template, life_day, status in _ANSWERS:
            due_day = batch.start_day + life_day
            if due_day > self._today:
                continue
            activity_id = self._records.add(
                "planning_plannedactivity",
                activity_type="FEED_CHANGE" if status == "COMPLETED" else "TREATMENT",
                due_date=to_date(due_day),
                status=status,
                notes=f"{template}\n{suggestion_marker(self._templates[template])}",
                completed_at=at_hour(due_day + 2, 14) if status == "COMPLETED" else None,
                batch_id=batch.batch_id,
                scenario_id=scenario_id,
            )
            self._records.case(case, "planning_plannedactivity", activity_id)

    def complete(self, plan: LineagePlan) -> None:
        """Let samplings and vaccinations be done on days on which fish were weighed."""
        for batch in plan.batches:
            weighed = {"SAMPLING": self._sample_dates(batch), "VACCINATION": self._jabs(batch)}
            for activity in self._records.rows["planning_plannedactivity"]:
                if activity["batch_id"] == batch.batch_id and activity["status"] == "COMPLETED":
                    self._weigh(batch, activity, weighed.get(activity["activity_type"], []))

    def _sample_dates(self, batch: BatchPlan) -> list[date]:
        stays = {stay.assignment_id for stay in batch.stays}
        return [
            row["sample_date"]
            for row in self._records.rows["batch_growthsample"]
            if row["assignment_id"] in stays and day_number(row["sample_date"]) <= self._today
        ]

    def _jabs(self, batch: BatchPlan) -> list[date]:
        return [
            row["treatment_date"].date()
            for row in self._records.rows["health_treatment"]
            if row["batch_id"] == batch.batch_id and row["includes_weighing"]
        ]

    def _weigh(self, batch: BatchPlan, activity: dict[str, Any], days: list[date]) -> None:
        """Complete an activity on the day nearest to that for which it was due."""
        due_date: date = activity["due_date"]
        nearest = min(days, key=lambda day: (abs(day - due_date), day), default=None)
        if nearest is None or abs(nearest - due_date).days > _MOST_DAYS_TO_WEIGHING:
            return
        activity["completed_at"] = at_hour(nearest, 14)
        self._records.case("activity_with_weighing", "planning_plannedactivity", activity["id"])
        if activity["activity_type"] == "SAMPLING" and batch.index % 3 == 0:
            activity["notes"] = "Weigh before the winter"
            self._records.case(
                "activity_near_suggestion", "planning_plannedactivity", activity["id"]
            )
