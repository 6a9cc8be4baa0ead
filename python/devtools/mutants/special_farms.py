"""Farms at the edges of the rules, where a random farm seldom stands.

Values that are exactly a limit, a little inside and a little outside; ages and stages that take
a batch of years; ties. Whatever random farms can draw as well is left to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from devtools.random_farms import RandomFarm, Row

DAYS: Final = 40
"""Days from the first day of most batches to the as-of date."""

MISSING: Final = 9999

_KEYS: Final = {
    "anchor_exclusions": "anchor_exclusion_id",
    "manual_anchors": "manual_anchor_id",
    "scenario": "scenario_id",
    "scenario_mortalitymodel": "model_id",
    "scenario_scenariomodelchange": "change_id",
    "scenario_temperatureprofile": "profile_id",
    "scenario_temperaturereading": "reading_id",
    "scenario_tgcmodel": "model_id",
}

_STAGES: Final = (
    ("Egg&Alevin", 0.1, 1.0),
    ("Fry", 1.0, 5.0),
    ("Parr", 5.0, 60.0),
    ("Smolt", 60.0, 180.0),
    ("Post-Smolt", 180.0, 500.0),
    ("Adult", 500.0, None),
    ("Brood stock", 5000.0, None),
)
EGGS, FRY, PARR, SMOLT, POST_SMOLT, ADULT, BROOD = range(1, 8)


@dataclass
class _Farm:
    """A farm being written down; days count from 0, the day `DAYS` before the as-of date."""

    as_of: date
    is_power_law: bool
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for order, (name, low, high) in enumerate(_STAGES, start=1):
            self.add(
                "batch_lifecyclestage",
                name=name,
                order=order,
                species_id=1,
                expected_weight_min_g=low,
                expected_weight_max_g=high,
            )
        self.add("environmental_environmentalparameter", name="Temperature", unit="-")

    def add(self, table: str, **values: Any) -> int:
        rows = self.rows.setdefault(table, [])
        key = len(rows) + 1
        rows.append({_KEYS.get(table, "id"): key, **values})
        return key

    def day(self, number: int) -> date:
        return self.as_of - timedelta(days=DAYS - number)

    def at(self, number: int, hour: int = 12) -> datetime:
        return datetime.combine(self.day(number), time(hour), UTC)

    def batch(self, first: int = 0, **values: Any) -> int:
        number = len(self.rows.get("batch_batch", ())) + 1
        return self.add(
            "batch_batch",
            **{
                "batch_number": f"B{number}",
                "status": "ACTIVE",
                "batch_type": "STANDARD",
                "species_id": 1,
                "lifecycle_stage_id": 1,
                "start_date": self.day(first),
                **values,
            },
        )

    def stay(
        self,
        batch: int,
        first: int = 0,
        end: int | None = None,
        *,
        stage: int = SMOLT,
        weight_g: float | None = 100.0,
        **values: Any,
    ) -> int:
        """Add an assignment of 1000 fish, in a container of its own."""
        container_id = self.add("infrastructure_container", name="C", container_type_id=1)
        return self.add(
            "batch_batchcontainerassignment",
            **{
                "batch_id": batch,
                "container_id": container_id,
                "lifecycle_stage_id": stage,
                "assignment_date": self.day(first),
                "departure_date": None if end is None else self.day(end),
                "is_active": end is None,
                "population_count": 1000,
                "avg_weight_g": weight_g,
                **values,
            },
        )

    def stock(self, stay: int, count: int | None = 1000, day: int = 0, **values: Any) -> int:
        return self.add(
            "batch_creationaction",
            **{
                "dest_assignment_id": stay,
                "status": "COMPLETED",
                "egg_count_actual": count,
                "mortality_on_arrival": 0,
                "actual_delivery_date": self.day(day),
                **values,
            },
        )

    def transfer(self, source: int, destination: int, day: int, count: int, **values: Any) -> int:
        return self.add(
            "batch_transferaction",
            **{
                "source_assignment_id": source,
                "dest_assignment_id": destination,
                "workflow_id": 1,
                "status": "COMPLETED",
                "actual_execution_date": self.day(day),
                "source_population_before": 1000,
                "transferred_count": count,
                "mortality_during_transfer": 0,
                "selection_method": "AVERAGE",
                **values,
            },
        )

    def profile(self, *days: tuple[int | None, float | None]) -> int:
        profile_id = self.add("scenario_temperatureprofile", name="profile")
        for day_number, temp_c in days:
            self.add(
                "scenario_temperaturereading",
                profile_id=profile_id,
                day_number=day_number,
                temperature=temp_c,
            )
        return profile_id

    def tgc_model(self, tgc: float | None = None, profile_id: int | None = None) -> int:
        return self.add(
            "scenario_tgcmodel",
            name="growth",
            tgc_value=(0.0081 if self.is_power_law else 2.5) if tgc is None else tgc,
            exponent_n=1.0,
            exponent_m=0.66,
            profile_id=self.profile((1, 10.0)) if profile_id is None else profile_id,
        )

    def tgc_stage(self, model: int, stage: str, tgc: float | None) -> int:
        return self.add(
            "scenario_tgc_model_stage",
            tgc_model_id=model,
            lifecycle_stage=stage,
            tgc_value=tgc,
            temperature_exponent=1.0,
            weight_exponent=0.66,
        )

    def mortality_model(self, rate: float = 0.0, frequency: str = "daily") -> int:
        return self.add("scenario_mortalitymodel", name="mortality", frequency=frequency, rate=rate)

    def scenario(self, batch: int, **values: Any) -> int:
        return self.add(
            "scenario",
            **{
                "name": "plan",
                "batch_id": batch,
                "start_date": self.day(0),
                "initial_count": 1000,
                "initial_weight": None,
                "fcr_model_id": 1,
                "tgc_model_id": values.get("tgc_model_id") or self.tgc_model(),
                "mortality_model_id": values.get("mortality_model_id") or self.mortality_model(),
                **values,
            },
        )

    def sample(self, stay: int, day: int, weight_g: float, size: int | None = 20) -> int:
        return self.add(
            "batch_growthsample",
            assignment_id=stay,
            sample_date=self.day(day),
            avg_weight_g=weight_g,
            sample_size=size,
        )

    def manual(self, stay: int, day: int, weight_g: float, **values: Any) -> int:
        return self.add(
            "manual_anchors",
            assignment_id=stay,
            anchor_date=self.day(day),
            weight_g=weight_g,
            reason="edge",
            entered_by="operator",
            **values,
        )

    def harvest(self, stay: int, day: int, count: int | None) -> int:
        batch = self.rows["batch_batchcontainerassignment"][stay - 1]["batch_id"]
        event = self.add(
            "harvest_harvestevent", assignment_id=stay, batch_id=batch, event_date=self.at(day)
        )
        return self.add("harvest_harvestlot", event_id=event, unit_count=count, live_weight_kg=1)

    def sampling(self, stay: int, day: int, weight_g: float | None) -> int:
        return self.add(
            "health_healthsamplingevent",
            assignment_id=stay,
            sampling_date=self.day(day),
            number_of_fish_sampled=5,
            avg_weight_g=weight_g,
        )

    def vaccinate(self, batch: int, stay: int, sampling: int, day: int) -> int:
        return self.add(
            "health_treatment",
            batch_id=batch,
            batch_assignment_id=stay,
            treatment_date=self.at(day),
            treatment_type="vaccination",
            includes_weighing=True,
            sampling_event_id=sampling,
        )

    def container_of(self, stay: int) -> int:
        container_id: int = self.rows["batch_batchcontainerassignment"][stay - 1]["container_id"]
        return container_id

    def reading(self, stay: int, day: int, temp_c: float) -> int:
        return self.add(
            "environmental_environmentalreading",
            container_id=self.container_of(stay),
            parameter_id=1,
            reading_time=self.at(day),
            value=temp_c,
        )

    def feed(self, amount_kg: Any, day: int, **where: Any) -> int:
        return self.add(
            "inventory_feedingevent", feeding_date=self.day(day), amount_kg=amount_kg, **where
        )


def special_farms(as_of: date, *, power_law: bool) -> Iterator[RandomFarm]:
    """Make all farms of this module."""
    for write in (
        _weights_at_the_limits,
        _fish_that_stay,
        _start_weights_at_the_limits,
        _temperatures_at_the_limits,
        _lives_without_a_scenario,
        _caps_of_the_stages,
        _models_that_change,
        _parameters_at_the_limits,
        _counts_around_zero,
        _dates_at_the_limits,
        _ties,
        _samples_that_lean,
        _records_by_container,
        _stops,
        _missing_transfers,
        _lost_fish,
        _days_ahead,
        _taken_back,
    ):
        farm = _Farm(as_of, power_law)
        write(farm)
        yield RandomFarm(farm.rows)


def _weights_at_the_limits(farm: _Farm) -> None:
    """Weigh fish at 0 g, at 50 kg and beyond, in every way of weighing."""
    weights = (50000.0, 52000.0, 0.0, 47000.0, 0.01, -1.0)
    still = farm.tgc_model(0.0)  # nothing may grow beyond 50 kg
    for weight_g in weights:
        batch = farm.batch()
        farm.scenario(batch, tgc_model_id=still)
        stay = farm.stay(batch, stage=ADULT, weight_g=1000.0)
        destination = farm.stay(batch, 35, stage=ADULT)
        farm.sample(stay, 5, weight_g)
        farm.manual(stay, 10, weight_g)
        farm.sampling(stay, 15, weight_g)
        sampling = farm.sampling(stay, 20, weight_g)
        farm.vaccinate(batch, stay, sampling, 20)
        weighed = farm.sampling(stay, 25, None)
        for observed_g in (weight_g, 1000.0, 3000.0):
            farm.add(
                "health_individualfishobservation",
                sampling_event_id=weighed,
                weight_g=observed_g,
            )
        farm.vaccinate(batch, stay, weighed, 26)
        farm.transfer(
            stay,
            destination,
            35,
            100,
            measured_avg_weight_g=weight_g,
            measured_sample_size=10,
            selection_method="LARGEST",
        )


def _fish_that_stay(farm: _Farm) -> None:
    """Move the largest or smallest fish, so that about a fifth of them, or none, stay."""
    for staying in (180, 190, 200, 210, 220, 1, 0):
        for method in ("LARGEST", "SMALLEST", "AVERAGE"):
            batch = farm.batch()
            stay, destination = farm.stay(batch), farm.stay(batch)
            farm.transfer(
                stay,
                destination,
                10,
                1000 - staying,
                measured_avg_weight_g=120.0,
                measured_sample_size=10,
                selection_method=method,
            )
    batch = farm.batch()
    stay, destination = farm.stay(batch), farm.stay(batch)
    farm.transfer(
        stay,
        destination,
        10,
        2,
        source_population_before=3,
        measured_avg_weight_g=120.0,
        selection_method="LARGEST",
    )


def _start_weights_at_the_limits(farm: _Farm) -> None:
    """Of the row, of the scenario on the batch's first day, of the limits, of the stage."""
    weights = (50000.0, 52000.0, 0.0, 47000.0, 0.05, 0.95)
    still = farm.tgc_model(0.0)
    for weight_g in weights:
        grown = farm.batch()
        farm.scenario(grown, tgc_model_id=still)
        farm.stay(grown, stage=ADULT, weight_g=weight_g)
        planned = farm.batch()
        farm.scenario(planned, initial_weight=weight_g, tgc_model_id=still)
        farm.stay(planned, stage=SMOLT, weight_g=None)
        limited = farm.batch()
        limits = farm.add("scenario_biological_constraints", name="limits")
        farm.add(
            "scenario_stage_constraint",
            constraint_set_id=limits,
            lifecycle_stage="smolt",
            min_weight_g=weight_g,
            max_weight_g=60000.0,
        )
        farm.scenario(
            limited,
            initial_weight=70.0,
            biological_constraints_id=limits,
            tgc_model_id=still,
        )
        farm.stay(limited, stage=SMOLT, weight_g=None)
        farm.stay(limited, 3, stage=SMOLT, weight_g=weight_g)


def _temperatures_at_the_limits(farm: _Farm) -> None:
    """Read and plan temperatures at -2, 0 and 30 °C, and beyond."""
    for temp_c in (-2.0, -1.9, -2.1, 30.0, 28.5, 31.0, 0.0, 0.5):
        measured = farm.stay(farm.batch())
        farm.reading(measured, 5, temp_c)
        farm.reading(measured, 10, 8.0)
        planned = farm.batch()
        profile = farm.profile((1, 12.0), (5, temp_c), (9, 4.0), (9, 6.0), (20, None), (None, 5.0))
        farm.scenario(planned, tgc_model_id=farm.tgc_model(profile_id=profile))
        farm.stay(planned)


def _lives_without_a_scenario(farm: _Farm) -> None:
    """Keep fish by the baseline scenario: each stage, at each age that its profile names."""
    for stage in (EGGS, FRY, PARR, SMOLT, POST_SMOLT, ADULT, BROOD):
        for age in (60, 110, 470, 1020):
            farm.stay(farm.batch(DAYS - age), stage=stage, weight_g=0.9, population_count=50_000)


def _caps_of_the_stages(farm: _Farm) -> None:
    """Each stage's cap of the seed, reached by fish a little below it."""
    caps = {EGGS: 0.5, FRY: 6.0, PARR: 60.0, SMOLT: 180.0, POST_SMOLT: 500.0, ADULT: 7000.0}
    for stage, cap_g in caps.items():
        for share in (0.85, 0.95, 0.995, 1.05):
            batch = farm.batch()
            farm.scenario(batch)
            farm.stay(batch, stage=stage, weight_g=cap_g * share)


def _models_that_change(farm: _Farm) -> None:
    """Three changes one after the other, two on one day, some before the first day."""
    fast, slow, still = (farm.tgc_model(tgc) for tgc in _growths(farm))
    many, few, none = (farm.mortality_model(rate) for rate in (3.0, 0.5, 0.0))
    for changes in (
        ((5, slow, few), (10, fast, many), (20, still, none)),
        ((5, fast, few), (5, slow, many), (15, None, none)),
        ((-3, slow, few), (0, fast, many), (1, still, None), (2, slow, none)),
        ((-1, fast, many), (0, slow, few)),
        ((1, slow, few), (-2, fast, many)),
        ((4, MISSING, None), (6, None, MISSING), (None, slow, None), (8, MISSING, MISSING)),
    ):
        batch = farm.batch(2)
        scenario = farm.scenario(batch, tgc_model_id=still, mortality_model_id=none)
        for change_day, tgc_model, mortality_model in changes:
            farm.add(
                "scenario_scenariomodelchange",
                scenario_id=scenario,
                change_day=change_day,
                new_tgc_model_id=tgc_model,
                new_mortality_model_id=mortality_model,
            )
        farm.stay(batch, 0, stage=BROOD, weight_g=1000.0)
        farm.stay(batch, 2, stage=BROOD, weight_g=1000.0)


def _growths(farm: _Farm) -> tuple[float, float, float]:
    return (0.0102, 0.004, 0.0) if farm.is_power_law else (5.0, 1.5, 0.0)


def _parameters_at_the_limits(farm: _Farm) -> None:
    """TGC from 0 to 6, below 0.01 already divided; rates from 0 to 100 %."""
    if not farm.is_power_law:
        for tgc in (
            0.0,
            0.001,
            0.0095,
            0.01,
            0.0105,
            5.8,
            6.0,
            6.2,
            -0.001,
            0.006,
            0.0061,
            -0.0001,
        ):
            for stage_tgc in (None, tgc):
                batch = farm.batch()
                model = farm.tgc_model(2.0 if stage_tgc is not None else tgc)
                if stage_tgc is not None:
                    farm.tgc_stage(model, "SMOLT", stage_tgc)
                farm.scenario(batch, tgc_model_id=model)
                farm.stay(batch, stage=SMOLT)
        batch = farm.batch()
        model = farm.tgc_model(9.0)
        farm.tgc_stage(model, "smolt", 9.0)
        farm.scenario(batch, tgc_model_id=model)
        farm.stay(batch, stage=SMOLT)
    unknown = farm.batch()
    model = farm.tgc_model(2.0)
    farm.rows["scenario_tgcmodel"][-1]["tgc_value"] = None
    farm.scenario(unknown, tgc_model_id=model)
    farm.stay(unknown, stage=SMOLT)
    for rate in (0.0, 99.5, 100.0, 100.5, -0.5, 0.7):
        for frequency in ("daily", "weekly"):
            batch = farm.batch()
            farm.scenario(batch, mortality_model_id=farm.mortality_model(rate, frequency))
            farm.stay(batch, stage=SMOLT)
        if rate >= 100:
            continue  # a stage's rates have two digits before the point
        for column in ("daily_rate_percent", "weekly_rate_percent"):
            batch = farm.batch()
            model = farm.mortality_model(0.9)
            farm.add(
                "scenario_mortality_model_stage",
                mortality_model_id=model,
                lifecycle_stage="smolt",
                **{column: rate},
            )
            farm.scenario(batch, mortality_model_id=model)
            farm.stay(batch, stage=SMOLT)


def _counts_around_zero(farm: _Farm) -> None:
    """Count 0 fish, less than 0, and none at all, in every table with counts."""
    for count in (0, -1, 1, -2, None):
        batch = farm.batch()
        stay = farm.stay(batch, 0, 30)
        destination = farm.stay(batch, 20)
        farm.stock(stay, 100)
        farm.stock(stay, count)
        farm.stock(stay, 3, mortality_on_arrival=count)
        farm.stock(stay, 3, mortality_on_arrival=3, day=2)
        farm.stock(stay, 3, mortality_on_arrival=4, day=3)
        farm.harvest(stay, 15, count)
        farm.add(
            "batch_mortalityevent",
            batch_id=batch,
            assignment_id=stay,
            event_date=farm.day(5),
            count=count,
        )
        farm.add("batch_mortalityevent", batch_id=batch, event_date=farm.day(7), count=count)
        farm.add(
            "health_mortalityrecord",
            batch_id=batch,
            assignment_id=stay,
            event_date=farm.at(9),
            count=count,
        )
        farm.add("health_mortalityrecord", batch_id=batch, event_date=farm.at(11), count=count)
        if count is not None:
            farm.transfer(stay, destination, 20, count)
        farm.transfer(stay, destination, 21, 50, mortality_during_transfer=count)
        farm.transfer(stay, destination, 22, 50, source_population_before=count)
        other = farm.batch()
        farm.stay(other, population_count=count)


def _dates_at_the_limits(farm: _Farm) -> None:
    """Date records in the first year, around an assignment, on its departure day and today."""
    for year in (1999, 2000, 2001):
        farm.stay(
            farm.batch(0, start_date=date(year, 1, 1)),
            assignment_date=date(year, 12, 31),
            departure_date=date(year + 1, 1, 3),
            is_active=False,
        )
    for end in (0, 1, -1, 2, 20, None):
        batch = farm.batch(actual_end_date=farm.day(30) if end is None else None)
        stay = farm.stay(batch, 0, end, is_active=False)
        destination = farm.stay(batch, 10, population_count=10)
        farm.stock(destination, 10, day=10)
        last = 30 if end is None else end
        for day in (-1, 0, last - 1, last, last + 1, last + 2, last + 3):
            farm.stock(stay, 20, day=day)
            farm.stock(stay, 20, day=day + 2)
            farm.manual(stay, day, 95.0)
            farm.add(
                "health_mortalityrecord",
                batch_id=batch,
                container_id=farm.container_of(stay),
                event_date=farm.at(day),
                count=1,
            )
            farm.sample(stay, day, 90.0)
            farm.feed(1.0, day, batch_assignment_id=stay, batch_id=batch)
            farm.feed(1.0, day, container_id=farm.container_of(stay))
            farm.feed(1.0, day, container_id=farm.container_of(stay), batch_id=batch)
            farm.add(
                "batch_mortalityevent",
                batch_id=batch,
                assignment_id=stay,
                event_date=farm.day(day),
                count=1,
            )
            farm.transfer(stay, destination, day, 2)
            farm.transfer(destination, stay, day, 1)
            farm.harvest(stay, day, 1)
        after = last + 4  # the harvests go on until the day before
        farm.feed(1.0, after, container_id=farm.container_of(stay))
        farm.add(
            "health_mortalityrecord",
            batch_id=batch,
            container_id=farm.container_of(stay),
            event_date=farm.at(after),
            count=1,
        )
    early = farm.stay(farm.batch(), 5, is_active=False)
    farm.harvest(early, 4, 10)


def _ties(farm: _Farm) -> None:
    """Deaths and fish that cannot be shared evenly go to the lowest id first."""
    farm.add("batch_lifecyclestage", name="First", order=1, species_id=2)
    for name in ("Second", "Second as well"):
        farm.add(
            "batch_lifecyclestage", name=name, order=2, species_id=2, expected_weight_max_g=5.0
        )
    farm.rows["batch_lifecyclestage"][-3]["expected_weight_max_g"] = 3.0
    farm.stay(farm.batch(species_id=2), stage=8, weight_g=1.0)
    batch = farm.batch()
    stays = [farm.stay(batch, 0, 20, population_count=100) for _ in range(3)]
    for day in range(2, 12):
        farm.add("batch_mortalityevent", batch_id=batch, event_date=farm.day(day), count=day)
    for _ in range(4):
        farm.stay(batch, 20, population_count=60)
    other = farm.batch()
    sources = [farm.stay(other, 0, 10, population_count=101) for _ in range(3)]
    for destination in [farm.stay(other, 10, 20, population_count=5) for _ in range(2)]:
        farm.sample(destination, 15, 120.0)
    for number, source in enumerate(sources):
        farm.sample(source, 9, 100.0 + 50.0 * number)
    full = farm.batch()
    emptied, other, fresh = (farm.stay(full, population_count=100) for _ in range(3))
    farm.transfer(emptied, fresh, 10, 150, source_population_before=100)
    farm.transfer(other, fresh, 11, 30, source_population_before=100)
    for day, count in ((10, 1000), (11, 7)):
        farm.add("batch_mortalityevent", batch_id=full, event_date=farm.day(day), count=count)
    lone = farm.batch()
    for count in (1, 0):
        stay = farm.stay(lone)
        farm.stock(stay, count)
    farm.add(
        "batch_mortalityevent",
        batch_id=lone,
        assignment_id=stay,
        event_date=farm.day(3),
        count=2,
    )
    for size in (None, 0, 7):
        farm.sample(stays[0], 5, 100.0 + (size or 0), size)


def _samples_that_lean(farm: _Farm) -> None:
    """Weigh fish every day, each time a little heavier than the model says they can be."""
    still = farm.tgc_model(0.0)
    for growth in (1.005, 1.007, 1.009):
        batch = farm.batch()
        farm.scenario(batch, tgc_model_id=still)
        stay = farm.stay(batch)
        for day in range(1, 36):
            farm.sample(stay, day, round(100.0 * growth**day, 2))


def _records_by_container(farm: _Farm) -> None:
    """Record feed and deaths by assignment, by batch and container, and by container alone."""
    batch = farm.batch()
    stay = farm.stay(batch, 0, 20)
    container = farm.container_of(stay)
    next_stay = farm.stay(batch, 20, container_id=container)
    for amount_kg in (0.0, 0.5, -0.5, None, Decimal("NaN"), 30.0):
        farm.feed(amount_kg, 5, batch_assignment_id=stay, batch_id=batch, container_id=container)
        farm.feed(amount_kg, 6, batch_id=batch, container_id=container)
        farm.feed(amount_kg, 7, container_id=container)
        farm.feed(amount_kg, 20, batch_assignment_id=stay, batch_id=batch, container_id=container)
        farm.feed(amount_kg, 20, batch_id=batch, container_id=container)
        farm.feed(amount_kg, 20, container_id=container)
    farm.feed(3.0, 7, batch_assignment_id=MISSING, batch_id=batch, container_id=container)
    farm.feed(3.0, 8, batch_assignment_id=MISSING, container_id=container)
    farm.feed(3.0, 9, batch_assignment_id=stay, container_id=container)
    farm.feed(3.0, 25, batch_assignment_id=stay, batch_id=batch, container_id=container)
    farm.feed(3.0, 9, batch_assignment_id=next_stay, batch_id=batch, container_id=container)
    farm.feed(3.0, 9, batch_id=MISSING, container_id=container)
    for named in (MISSING, stay, None):
        farm.add(
            "health_mortalityrecord",
            batch_id=batch,
            assignment_id=named,
            container_id=container,
            event_date=farm.at(11),
            count=2,
        )


def _stops(farm: _Farm) -> None:
    """One-day chains: two sources into one stop, two ways on, a stop after a stop."""
    batch = farm.batch()
    big, small = farm.stay(batch, 0, 10), farm.stay(batch, 0, 10, weight_g=200.0)
    stop, second_stop = farm.stay(batch, 10, 10), farm.stay(batch, 10, 10)
    here, there, yonder = (farm.stay(batch, 10) for _ in range(3))
    farm.transfer(big, stop, 10, 300)
    farm.transfer(small, stop, 10, 300)
    farm.transfer(stop, here, 10, 101)
    farm.transfer(stop, there, 10, 100)
    farm.transfer(stop, second_stop, 10, 399)
    farm.transfer(second_stop, yonder, 10, 200)
    farm.transfer(second_stop, here, 10, 250)
    shared = farm.batch()
    thirds = [farm.stay(shared, 0, weight_g=100.0 + 50.0 * number) for number in range(3)]
    last_one = farm.stay(shared, 10, 10)
    for third in thirds:
        farm.transfer(third, last_one, 10, 2)
    farm.transfer(last_one, farm.stay(shared, 10), 10, 5)
    farm.transfer(last_one, farm.stay(shared, 10), 10, 2)
    row = farm.batch()
    chain = [farm.stay(row, 0), *(farm.stay(row, 10, 10) for _ in range(4)), farm.stay(row, 10)]
    for source, destination in pairwise(chain):
        farm.transfer(source, destination, 10, 100)
    late = farm.batch()
    source, other = farm.stay(late, 0), farm.stay(late, 0, weight_g=300.0)
    first, second = farm.stay(late, 10, 14), farm.stay(late, 11, 11)
    before = farm.stay(late, 10, 10)
    farm.transfer(source, before, 10, 200)
    farm.transfer(before, first, 10, 200)
    farm.transfer(first, farm.stay(late, 10), 10, 50)
    farm.transfer(other, first, 12, 30)
    empty = farm.stay(late, 10, 14, population_count=0)
    farm.transfer(empty, farm.stay(late, 10), 10, 40, source_population_before=None)
    farm.transfer(other, empty, 12, 30)
    farm.transfer(other, second, 11, 80)
    farm.transfer(second, first, 11, 60)
    full = farm.batch()
    source = farm.stay(full, 0)
    staying = farm.stay(full, 10, 12)
    farm.transfer(source, staying, 10, 400)
    farm.transfer(staying, source, 10, 150)
    farm.transfer(staying, farm.stay(full, 12), 12, 200)


def _missing_transfers(farm: _Farm) -> None:
    """Leave fish over that nobody saw leave, after transfers, harvests and bad records."""
    for before, moved, harvested in (
        (1000, 700, 0),
        (None, 700, 0),
        (None, None, 0),
        (500, 700, 0),
        (1000, 999, 0),
        (1000, 700, 20),
        (1000, None, 100),
    ):
        for late in (0, 1, 2):
            batch = farm.batch()
            source, helper = farm.stay(batch, 0, 10), farm.stay(batch, 0, 10, population_count=7)
            farm.sample(source, 8, 130.0)
            farm.sample(helper, 8, 250.0)
            known = farm.stay(batch, 8)
            if moved is not None:
                farm.transfer(source, known, 9, moved // 2, source_population_before=before)
                farm.transfer(source, known, 10, moved - moved // 2)
            if harvested:
                for day in (8, 9, 10):
                    farm.harvest(source, day, harvested)
                farm.harvest(source, 14, 50)
            newcomer = farm.stay(batch, 10 + late, population_count=290 if before else 3)
            farm.stock(newcomer, -5, day=10 + late)
            farm.stay(batch, 10 + late, 20, population_count=0, is_active=False)
    single = farm.batch()
    farm.stay(single, 0, 10, population_count=1)
    farm.stay(single, 10, population_count=2)
    brief = farm.batch()
    farm.stay(brief, 0, 10)
    farm.stay(brief, 10, 11, population_count=0, is_active=False)
    twice = farm.batch()
    farm.stay(twice, 0, 10)
    farm.stay(twice, 9, population_count=300)
    guessed, known = farm.stay(twice, 10, population_count=300), farm.stay(twice, 0)
    together = farm.stay(twice, 12)
    for source in (guessed, known):
        farm.transfer(source, together, 15, 50)
    farm.stay(twice, 11, population_count=300)


def _lost_fish(farm: _Farm) -> None:
    """Lose fish in a transfer around the share that is believed, 0.05 unless vars say otherwise."""
    for lost in (0, 46, 50, 53, 91, 100, 107, 500):
        for is_inferred in (False, True):
            batch = farm.batch()
            source = farm.stay(batch, 0, 10)
            destination = farm.stay(batch, 5)
            farm.transfer(
                source,
                destination,
                9,
                1000 - lost,
                mortality_during_transfer=lost,
                source_population_before=2000,
            )
            if is_inferred:
                farm.stay(batch, 10, 20, population_count=0, is_active=False)


def _days_ahead(farm: _Farm) -> None:
    """Date records on the last day that can be known, a day before it and after it."""
    today = datetime.now(UTC).date()
    last = max(farm.as_of, today) - farm.as_of
    for ahead in (-1, 0, 1, 2):
        day = DAYS + last.days + ahead
        batch = farm.batch()
        stay, other = farm.stay(batch), farm.stay(batch, population_count=10)
        farm.stock(stay, 20, day=day)
        farm.sample(stay, day, 90.0)
        farm.sampling(stay, day, 90.0)
        sampling = farm.sampling(stay, day, 95.0)
        farm.vaccinate(batch, stay, sampling, day)
        farm.manual(stay, day, 80.0)
        for names in (
            {"batch_assignment_id": stay, "batch_id": batch},
            {"container_id": farm.container_of(stay)},
        ):
            farm.feed(1.0, day, **names)
        for names in ({"assignment_id": stay}, {}):
            farm.add(
                "batch_mortalityevent", batch_id=batch, event_date=farm.day(day), count=1, **names
            )
        farm.transfer(stay, other, day, 2)
        finished = farm.stay(farm.batch(), is_active=False)
        for harvested in (stay, finished):
            farm.harvest(harvested, day, 1)
        leaving = farm.stay(farm.batch(), 0, day, is_active=True, population_count=40)
        farm.harvest(leaving, 5, 100)
        source = farm.stay(batch, 0, 10)
        farm.sample(source, 5, 60.0)
        farm.stay(batch, 10, day, population_count=400)


def _taken_back(farm: _Farm) -> None:
    """Enter a manual anchor and an exclusion, and take them back."""
    removed = {
        "removed_at": datetime(2020, 1, 1, tzinfo=UTC),
        "removed_by": "operator",
        "removed_reason": "edge",
    }
    stay = farm.stay(farm.batch())
    farm.manual(stay, 5, 130.0, **removed)
    farm.manual(stay, 8, 150.0)
    for day, removal in ((12, {}), (16, removed)):
        farm.add(
            "anchor_exclusions",
            anchor_type="growth_sample",
            record_id=farm.sample(stay, day, 200.0),
            reason="edge",
            excluded_by="operator",
            **removal,
        )
