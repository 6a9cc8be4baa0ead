"""Weighings: samples, vaccinations and health checks of fish whose true weight is known."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import numpy as np

from anchorline.demo.biology import (
    ADULT,
    FRY,
    FULTON_K,
    POST_SMOLT,
    REPRESENTATIVENESS_SD,
    WEIGHT_CV,
)
from anchorline.demo.plan import LineagePlan, Stay, to_date
from anchorline.demo.registry import Records
from anchorline.demo.truth import Truth
from anchorline.demo.writing import at_hour

NewestWeights = dict[int, tuple[int, float]]
"""Row of a stay to the day [since 1970] and weight [g] of its newest sample."""

_SAMPLE_SIZES: Final = (20, 30, 50, 75, 100, 200)
_SAMPLE_EVERY_DAYS: Final = 30
_BAD_SAMPLE_FACTOR: Final = 1.45
_FISH_WEIGHED_AT_VACCINATION: Final = 25
ENTERED_BY: Final = "anchorline demo"


def observed_weight_g(rng: np.random.Generator, weight_g: float, sample_size: int) -> float:
    """Return the mean weight [g] of sampled fish whose group weighs `weight_g` [g] on average.

    The error of a mean of `sample_size` (>= 1) fish, CV / sqrt(n), and that of fish that do
    not represent the group.
    """
    sampling = float(rng.normal(0.0, WEIGHT_CV / sample_size**0.5))
    representing = float(rng.normal(0.0, REPRESENTATIVENESS_SD))
    return max(weight_g * (1.0 + sampling) * (1.0 + representing), 0.01)


class WeightRecords:
    """What is written down of the weighings of a lineage."""

    def __init__(
        self, plan: LineagePlan, truth: Truth, records: Records, rng: np.random.Generator
    ) -> None:
        self._plan = plan
        self._truth = truth
        self._records = records
        self._rng = rng
        self.newest: NewestWeights = {}
        self.ops_rows: dict[str, list[dict[str, Any]]] = {
            "manual_anchors": [],
            "anchor_exclusions": [],
        }

    def add(self) -> None:
        """Add all weighings of the lineage."""
        for stay in self._plan.stays:
            if stay.stage >= FRY and not stay.is_vessel:
                self._add_monthly_samples(stay)
                self._add_health_samplings(stay)
        self._add_special_samples()
        self._add_vaccinations()
        self._add_manual_anchors()

    def _sample(
        self, stay: Stay, day: int, *, factor: float = 1.0, date_of_sample: date | None = None
    ) -> int:
        """Add a growth sample of a day and return its id."""
        rng = self._rng
        size = int(rng.choice(_SAMPLE_SIZES))
        true_weight_g, _ = self._truth.at(stay.index, day)
        weight_g = observed_weight_g(rng, true_weight_g * factor, size)
        cv = float(rng.uniform(0.15, 0.26))
        condition_factor = float(rng.normal(FULTON_K, 0.05))
        has_spread = bool(rng.random() < 0.9)
        if day >= self.newest.get(stay.index, (0, 0.0))[0]:
            self.newest[stay.index] = (day, round(weight_g, 2))
        return self._records.add(
            "batch_growthsample",
            sample_date=date_of_sample or to_date(day),
            sample_size=size,
            avg_weight_g=round(weight_g, 2),
            avg_length_cm=round(float(np.cbrt(100.0 * weight_g / condition_factor)), 2),
            std_deviation_weight=round(weight_g * cv, 2) if has_spread else None,
            min_weight_g=round(weight_g * max(1.0 - 2.2 * cv, 0.3), 2),
            max_weight_g=round(weight_g * (1.0 + 2.2 * cv), 2),
            condition_factor=round(condition_factor, 2),
            assignment_id=stay.assignment_id,
        )

    def _add_monthly_samples(self, stay: Stay) -> None:
        """Sample every other container, and all of a MIXED batch, once a month."""
        if (stay.index + stay.batch.index) % 2 and stay.batch.batch_type != "MIXED":
            return
        first_day = stay.first_day + int(self._rng.integers(12, 29))
        for day in range(first_day, stay.end_day(self._plan.horizon_day), _SAMPLE_EVERY_DAYS):
            if self._truth.at(stay.index, day)[1] == 0:
                continue
            sample_id = self._sample(stay, day)
            if stay.index % 16 < 2 and day == first_day:
                self._records.case("growth_sample", "batch_growthsample", sample_id)

    def _add_special_samples(self) -> None:
        for special in self._plan.special("superseded_anchor"):
            sample_id = self._sample(special.stay, special.first_day)
            self._records.case("superseded_anchor", "batch_growthsample", sample_id)
        for special in self._plan.special("two_samples_one_day"):
            for _ in range(2):
                sample_id = self._sample(special.stay, special.first_day)
                self._records.case("two_samples_one_day", "batch_growthsample", sample_id)
        for special in self._plan.special("departure_day"):
            departure = to_date(special.last_day + 1)
            sample_id = self._sample(special.stay, special.last_day, date_of_sample=departure)
            self._records.case("departure_day_sample", "batch_growthsample", sample_id)
        for special in self._plan.special("excluded_sample"):
            sample_id = self._sample(special.stay, special.first_day, factor=_BAD_SAMPLE_FACTOR)
            self._records.case("excluded_sample", "batch_growthsample", sample_id)
            self.ops_rows["anchor_exclusions"].append(
                {
                    "anchor_type": "growth_sample",
                    "record_id": sample_id,
                    "reason": "Only the largest fish came into the net",
                    "excluded_by": ENTERED_BY,
                    "excluded_at": at_hour(special.first_day, 16),
                }
            )

    def _add_manual_anchors(self) -> None:
        for special in self._plan.special("manual_anchor"):
            true_weight_g, _ = self._truth.at(special.stay.index, special.first_day)
            weight_g = observed_weight_g(self._rng, true_weight_g, 200)
            self.ops_rows["manual_anchors"].append(
                {
                    "assignment_id": special.stay.assignment_id,
                    "anchor_date": to_date(special.first_day),
                    "weight_g": round(weight_g, 2),
                    "reason": "Weighed by the camera in the tank",
                    "entered_by": ENTERED_BY,
                    "entered_at": at_hour(special.first_day, 16),
                }
            )

    def _health_sampling(self, stay: Stay, day: int, fish: int, *, individuals: bool) -> int:
        """Add a health sampling of a day and return its id."""
        rng = self._rng
        true_weight_g, _ = self._truth.at(stay.index, day)
        representing = 1.0 + float(rng.normal(0.0, REPRESENTATIVENESS_SD))
        spread = np.maximum(rng.normal(1.0, WEIGHT_CV, fish), 0.3)
        weights_g = np.round(true_weight_g * representing * spread, 2)
        lengths_cm = np.round(np.cbrt(100.0 * weights_g / rng.normal(FULTON_K, 0.05, fish)), 2)
        event_id = self._records.add(
            "health_healthsamplingevent",
            sampling_date=to_date(day),
            number_of_fish_sampled=fish,
            notes="Monthly health check",
            assignment_id=stay.assignment_id,
            avg_weight_g=round(float(weights_g.mean()), 2),
            std_dev_weight_g=round(float(weights_g.std(ddof=1)), 2),
            min_weight_g=float(weights_g.min()),
            max_weight_g=float(weights_g.max()),
            avg_length_cm=round(float(lengths_cm.mean()), 2),
            calculated_sample_size=fish,
        )
        if individuals:
            for number in range(fish):
                self._records.add(
                    "health_individualfishobservation",
                    fish_identifier=f"F{number + 1:03d}",
                    length_cm=float(lengths_cm[number]),
                    weight_g=float(weights_g[number]),
                    sampling_event_id=event_id,
                )
        return event_id

    def _add_health_samplings(self, stay: Stay) -> None:
        """Check the health of every fifth tank and pen from post-smolt on, once a month."""
        if stay.stage < POST_SMOLT or stay.index % 5:
            return
        end_day = stay.end_day(self._plan.horizon_day)
        for day in range(stay.first_day + 21, end_day, _SAMPLE_EVERY_DAYS):
            if self._truth.at(stay.index, day)[1] == 0:
                continue
            event_id = self._health_sampling(stay, day, 25, individuals=stay.stage == ADULT)
            if day == stay.first_day + 21 and stay.index % 20 == 0:
                self._records.case(
                    "health_sampling_unlinked", "health_healthsamplingevent", event_id
                )

    def _add_vaccinations(self) -> None:
        for kind in (
            "vaccination_individuals",
            "vaccination_mean_only",
            "vaccination_without_weighing",
        ):
            for number, special in enumerate(self._plan.special(kind)):
                event_id = None
                if kind != "vaccination_without_weighing":
                    event_id = self._health_sampling(
                        special.stay,
                        special.first_day,
                        _FISH_WEIGHED_AT_VACCINATION,
                        individuals=kind == "vaccination_individuals",
                    )
                # Some are entered the day after; the weighing's own day counts.
                day = special.first_day + (number % 2 if event_id is not None else 0)
                treatment_id = self._records.add(
                    "health_treatment",
                    treatment_date=at_hour(day, 10),
                    treatment_type="vaccination",
                    description="Vaccination before smoltification",
                    dosage="0.05 ml",
                    duration_days=1,
                    withholding_period_days=21,
                    outcome="successful",
                    batch_id=special.stay.batch.batch_id,
                    batch_assignment_id=special.stay.assignment_id,
                    container_id=special.stay.container.container_id,
                    includes_weighing=event_id is not None,
                    sampling_event_id=event_id,
                )
                self._records.case(kind, "health_treatment", treatment_id)
