"""Small random farms: rows of the raw tables that together hold every case of the growth model.

A farm is drawn from a `random.Random`, so that a seed repeats it; Hypothesis drives the same code
with a `Random` of its own and makes a failing farm smaller. For its sake the plainest value of a
choice stands first, and `_chance` says no where nothing is drawn.

Farms may stand side by side in one database, as a run of all models on many costs hardly more.

Most farms are well kept. In some, values are odd with a small probability: missing, negative, out
of range, of the wrong batch, or naming what is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, Final, TypeVar

from psycopg import Connection, sql

Row = dict[str, Any]
Value = TypeVar("Value")

OPS_TABLES: Final[Mapping[str, str]] = {
    "manual_anchors": "manual_anchor_id",
    "anchor_exclusions": "anchor_exclusion_id",
    "calibrations": "calibration_id",
    "calibrated_tgc": "calibration_id",
}
"""What people write beside the raw tables, and its keys; the schema is `anchorline_ops`."""

_KEYS: Final[Mapping[str, str]] = {
    **OPS_TABLES,
    "scenario": "scenario_id",
    "scenario_mortalitymodel": "model_id",
    "scenario_projection_run": "run_id",
    "scenario_scenariomodelchange": "change_id",
    "scenario_scenarioprojection": "projection_id",
    "scenario_temperatureprofile": "profile_id",
    "scenario_temperaturereading": "reading_id",
    "scenario_tgcmodel": "model_id",
}

_STAGES: Final = (
    # name, as a scenario may write it, expected weights [g]
    ("Egg&Alevin", "egg_alevin", 0.1, 1.0),
    ("Fry", "FRY", 1.0, 5.0),
    ("Parr", "parr", 5.0, 20.0),
    ("Smolt", "SMOLT", 20.0, 80.0),
    ("Post-Smolt", "Post Smolt", 80.0, 250.0),
    ("Adult", "adult", 250.0, None),
)
_PARAMETERS: Final = "environmental_environmentalparameter"
_MISSING: Final = 9999
_NEWEST_CALIBRATION: Final = 9999
_LONG_AGO: Final = date(1924, 2, 29)
_FAR_AHEAD: Final = date(2124, 2, 29)
_LONGEST_DAYS: Final = 60
_MOST_ASSIGNMENTS: Final = 10


@dataclass(frozen=True)
class RandomFarm:
    """Rows by table, those of `anchorline_ops` among them; a column that a row lacks is null."""

    rows: Mapping[str, Sequence[Row]]

    def literal(self) -> str:
        """Return the farm as Python source that makes it again."""
        lines = ["RandomFarm("]
        lines.append("    {")
        for table, rows in sorted(self.rows.items()):
            lines.append(f'        "{table}": [')
            lines += [f"            {_row_literal(row)}," for row in rows]
            lines.append("        ],")
        return "\n".join([*lines, "    }", ")"])


def random_farm(random: Random, *, as_of: date, power_law: bool = False) -> RandomFarm:
    """Draw a farm of 5 to 60 days, whose last day is `as_of` or some days later.

    With `power_law` the TGC models hold coefficients that were fitted in that form; any other
    stops the run.
    """
    return _Drawing(random, as_of, power_law).farm()


def side_by_side(farms: Sequence[RandomFarm]) -> RandomFarm:
    """Put farms into one, each with ids of its own, so that none knows of its neighbours.

    A calibration counts for the whole database: the newest of each farm becomes the newest of
    all, with the factors that each has for its own stages and sites.
    """
    together: dict[str, list[Row]] = {}
    calibrations: dict[int, Row] = {}
    for number, farm in enumerate(farms):
        own = renumbered(farm, len(farms), number).rows
        newest = max((row["calibration_id"] for row in own.get("calibrations", ())), default=0)
        for table, rows in own.items():
            for row in rows:
                if "calibration_id" in row:
                    row["calibration_id"] += _NEWEST_CALIBRATION - newest
            together.setdefault(table, []).extend(rows)
    for row in together.get("calibrations", ()):
        calibrations.setdefault(row["calibration_id"], row)
    return RandomFarm({**together, "calibrations": list(calibrations.values())})


def renumbered(farm: RandomFarm, factor: int, summand: int) -> RandomFarm:
    """Give a farm other ids, in the same order; the numbers of its batches tell the farm."""

    def value(column: str, given: Any) -> Any:
        if given is None:
            return None
        if column == "id" or column.endswith("_id"):
            return given * factor + summand
        return f"{given} of farm {summand}" if column == "batch_number" else given

    return RandomFarm(
        {
            table: [{column: value(column, given) for column, given in row.items()} for row in rows]
            for table, rows in farm.rows.items()
        }
    )


def insert_farm(connection: Connection, farm: RandomFarm, *, raw_schema: str = "public") -> None:
    """Insert a farm's rows in the caller's transaction, into tables without constraints."""
    for table, rows in farm.rows.items():
        columns = sorted({column for row in rows for column in row})
        if not columns:
            continue
        schema = "anchorline_ops" if table in OPS_TABLES else raw_schema
        statement = sql.SQL("copy {} ({}) from stdin").format(
            sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([row.get(column) for column in columns])


def _row_literal(row: Row) -> str:
    pairs = (f'"{name}": {_literal(value)}' for name, value in row.items() if value is not None)
    return "{" + ", ".join(pairs) + "}"


def _literal(value: Any) -> str:
    if isinstance(value, datetime):
        return f"at({value.year}, {value.month}, {value.day}, {value.hour})"
    if isinstance(value, date):
        return f"date({value.year}, {value.month}, {value.day})"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def at(year: int, month: int, day: int, hour: int = 12) -> datetime:
    """Return an instant in UTC, as literals of farms write it."""
    return datetime(year, month, day, hour, tzinfo=UTC)


@dataclass(frozen=True)
class _Batch:
    """A batch under way: its id, species and first day."""

    batch_id: int
    species: int
    first: int
    row: Row


@dataclass
class _Stay:
    """An assignment under way; days count from the farm's first day, 0.

    `end` is the departure day or, while open, the farm's last day; `fish` about how many there
    are, so that most records fit each other.
    """

    assignment_id: int
    batch: _Batch
    container_id: int
    first: int
    end: int
    departs: bool
    fish: int
    row: Row

    def meets(self, other: _Stay) -> bool:
        """Whether both share at least a day, their departure days included."""
        return max(self.first, other.first) <= min(self.end, other.end)


@dataclass
class _Drawing:
    """One farm as it is being drawn."""

    random: Random
    as_of: date
    power_law: bool
    rows: dict[str, list[Row]] = field(default_factory=dict)
    stays: list[_Stay] = field(default_factory=list)
    oddity_percent: int = 0
    first_id: int = 1
    days: int = 0
    first_date: date = date.min
    has_second_species: bool = False

    # -- drawing ------------------------------------------------------------------------------

    def _chance(self, percent: int) -> bool:
        """Say yes in so many of a hundred cases; the smallest draw says no."""
        return self.random.randint(0, 99) >= 100 - percent

    def _one_of(self, *values: Value) -> Value:
        return self.random.choice(values)

    def _whole(self, low: int, high: int) -> int:
        return self.random.randint(low, max(low, high))

    def _some(self, *counts: int) -> Iterator[int]:
        """Count up to one of the given numbers; the first is the plainest."""
        yield from range(self._one_of(*counts))

    def _usually(self, usual: Any, *odd: Any) -> Any:
        """Return the usual value, in a badly kept farm now and then an odd one."""
        if self.oddity_percent and self._chance(self.oddity_percent):
            return self._one_of(*odd)
        return usual

    def _add(self, table: str, **values: Any) -> int:
        """Add a row; ids grow or fall, and pass from one digit to two and to three."""
        rows = self.rows.setdefault(table, [])
        number = len(rows)
        key = self.first_id + (-number if self.first_id > 1000 else number)
        rows.append({_KEYS.get(table, "id"): key, **values})
        return key

    def _nth_id(self, table: str, number: int) -> int:
        return int(self.rows[table][number - 1][_KEYS.get(table, "id")])

    def _date(self, day: int) -> date:
        return self.first_date + timedelta(days=day)

    def _event_date(self, day: int) -> date | None:
        date_or_none: date | None = self._usually(self._date(day), None, _LONG_AGO, _FAR_AHEAD)
        return date_or_none

    def _event_at(self, day: int) -> datetime | None:
        """Return an instant of the day; near midnight it is another day elsewhere."""
        when = self._event_date(day)
        hour = self._one_of(12, 0, 23)
        return None if when is None else datetime.combine(when, time(hour), UTC)

    def _day_of(self, stay: _Stay) -> int:
        """Draw a day of an assignment, its departure day included, seldom one beside it."""
        day = self._whole(stay.first, stay.end)
        return int(self._usually(day, stay.first - 1, stay.end + 1, stay.end + 2))

    def _count(self, most: int) -> int | None:
        count: int | None = self._usually(self._whole(0, max(0, most)), -3, None)
        return count

    def _weight(self, *weights: float | None) -> float | None:
        weight: float | None = self._usually(self._one_of(*weights), 0.0, -2.0, 60000.0, None)
        return weight

    # -- the farm -----------------------------------------------------------------------------

    def farm(self) -> RandomFarm:
        self.oddity_percent = self._one_of(0, 0, 3, 10)
        self.first_id = self._one_of(1, 7, 96, 1004)
        self.days = self._whole(5, _LONGEST_DAYS)
        days_ahead = self._whole(0, self.days // 2) if self._chance(30) else 0
        self.first_date = self.as_of - timedelta(days=self.days - 1 - days_ahead)
        self.has_second_species = self._chance(20)
        self._stages()
        self._models()
        self._parameters()
        for _ in range(self._one_of(1, 1, 1, 2, 2, 3)):
            self._batch()
        for source, destination in self._meetings():
            self._transfer_between(source, destination)
        for stay in self.stays:
            self._harvests(stay)
            self._deaths(stay)
            self._anchors(stay)
            self._feed(stay)
        self._deaths_of_batches()
        self._readings()
        self._exclusions()
        self._plans()
        self._foresight()
        return RandomFarm({table: rows for table, rows in self.rows.items() if rows})

    def _stages(self) -> None:
        for species in (1, 2) if self.has_second_species else (1,):
            has_limits = not self._chance(15)
            for order, (name, _, low, high) in enumerate(_STAGES, start=1):
                self._add(
                    "batch_lifecyclestage",
                    name=name if species == 1 else name.lower(),
                    order=order,
                    species_id=species,
                    expected_weight_min_g=self._usually(
                        low if has_limits else None, 0.0, -1.0, 60000.0
                    ),
                    expected_weight_max_g=self._usually(high if has_limits else None, 0.0, 60000.0),
                )

    def _stage_names(self) -> Iterator[tuple[str, float, float | None]]:
        """Draw some stages as scenarios name them, with their weights."""
        if self._chance(60):
            first = self._whole(0, len(_STAGES) - 1)
            for _, name, low, high in _STAGES[first : first + self._one_of(1, 2, 3)]:
                yield name, low, high
                if self._chance(10):
                    yield name.swapcase(), low * 2, None if high is None else high / 2

    # -- scenarios and their models -----------------------------------------------------------

    def _models(self) -> None:
        for _ in self._some(1, 2):
            profile_id = self._add("scenario_temperatureprofile", name="profile")
            self._profile_days(profile_id)
        for _ in self._some(1, 2, 3):
            self._tgc_model()
        for _ in self._some(1, 2):
            self._mortality_model()
        for _ in self._some(0, 1, 2):
            constraint_set_id = self._add("scenario_biological_constraints", name="limits")
            self._constraints(constraint_set_id)

    def _profile_days(self, profile_id: int) -> None:
        day_number = self._one_of(1, -2, 5)
        for _ in self._some(1, 2, 3, 0):
            self._add(
                "scenario_temperaturereading",
                profile_id=profile_id,
                day_number=day_number,
                temperature=self._usually(self._one_of(8.0, 12.5, 0.0, -1.0), 85.0, None),
            )
            day_number += self._one_of(10, 1, 30, 0)

    def _growth_parameters(self) -> tuple[float | None, float, float]:
        if self.power_law:
            return self._one_of(0.00825, 0.0, 0.0102), self._one_of(1.0, 0.9), 0.66
        # a fish of 1 g at 19 °C grows 28 % a day by 4.5: more than 30 % stops a build
        tgc: float | None = self._usually(
            self._one_of(2.5, 0.0027, 3.1, 0.0, 4.5), 25.0, -0.003, None
        )
        return tgc, 1.0, 0.66

    def _tgc_model(self) -> None:
        tgc, n, m = self._growth_parameters()
        model_id = self._add(
            "scenario_tgcmodel",
            name="growth",
            tgc_value=tgc,
            exponent_n=n,
            exponent_m=m,
            profile_id=self._id_of("scenario_temperatureprofile"),
        )
        for stage_name, _, _ in self._stage_names():
            tgc, n, m = self._growth_parameters()
            self._add(
                "scenario_tgc_model_stage",
                tgc_model_id=model_id,
                lifecycle_stage=stage_name,
                tgc_value=tgc,
                temperature_exponent=n,
                weight_exponent=m,
            )

    def _mortality_model(self) -> None:
        model_id = self._add(
            "scenario_mortalitymodel",
            name="mortality",
            frequency=self._one_of("daily", "weekly"),
            rate=self._usually(self._one_of(0.5, 3.0, 0.0), 120.0, -1.0, None),
        )
        for stage_name, _, _ in self._stage_names():
            self._add(
                "scenario_mortality_model_stage",
                mortality_model_id=model_id,
                lifecycle_stage=stage_name,
                daily_rate_percent=self._usually(self._one_of(0.3, None, 2.0), -1.0),
                weekly_rate_percent=self._usually(self._one_of(None, 4.0, 1.5), -2.0),
            )

    def _constraints(self, constraint_set_id: int) -> None:
        for stage_name, low, high in self._stage_names():
            self._add(
                "scenario_stage_constraint",
                constraint_set_id=constraint_set_id,
                lifecycle_stage=stage_name,
                min_weight_g=self._usually(self._one_of(low * 1.5, 0.0), None, -1.0, 60000.0),
                max_weight_g=self._usually(
                    None if high is None else self._one_of(high * 0.8, high * 2), 0.0, 60000.0
                ),
            )

    def _scenarios(self, batch: _Batch) -> None:
        for _ in self._some(1, 0, 2):
            scenario_id = self._add(
                "scenario",
                name="plan",
                start_date=self._date(batch.first),
                initial_count=1000,
                initial_weight=self._usually(self._one_of(0.2, 1.5, None, 30.0), 0.0, 60000.0),
                batch_id=self._usually(batch.batch_id, None),
                fcr_model_id=1,
                tgc_model_id=self._usually(self._id_of("scenario_tgcmodel"), _MISSING),
                mortality_model_id=self._usually(self._id_of("scenario_mortalitymodel"), _MISSING),
                biological_constraints_id=self._id_of("scenario_biological_constraints"),
            )
            self._model_changes(scenario_id)
            if self._chance(25):
                run_id = self._add("scenario_projection_run", scenario_id=scenario_id)
                batch.row["pinned_projection_run_id"] = self._usually(run_id, _MISSING)
            if self._chance(20):
                batch.row["pinned_scenario_id"] = self._usually(scenario_id, _MISSING, 1)

    def _model_changes(self, scenario_id: int) -> None:
        for _ in self._some(0, 0, 1, 2):
            self._add(
                "scenario_scenariomodelchange",
                scenario_id=scenario_id,
                change_day=self._whole(-2, self.days),
                new_tgc_model_id=self._usually(
                    self._one_of(self._id_of("scenario_tgcmodel"), None), _MISSING
                ),
                new_mortality_model_id=self._one_of(None, self._id_of("scenario_mortalitymodel")),
            )

    def _plans(self) -> None:
        """Draw what only plans read; last, so that the rest of a farm does not depend on it."""
        for stage in self.rows["batch_lifecyclestage"]:
            stage["typical_duration_days"] = self._one_of(None, 3, 10)
        for scenario in self.rows.get("scenario", ()):
            first = scenario["start_date"] + timedelta(days=self._one_of(0, 0, 4, -3))
            scenario["start_date"] = self._usually(first, None)
            scenario["duration_days"] = self._usually(self._one_of(20, 90), None, 0, -5, 1200)
            scenario["initial_count"] = self._usually(self._one_of(1000, 7), 0, None, -1)
        for run in self.rows.get("scenario_projection_run", ()):
            day, stage_id = self._whole(-5, self.days), self._stage_of_run(run)
            weight = self._one_of(7.0, 0.3, 300.0)
            for _ in self._some(0, 3, 12):
                self._projected_day(run["run_id"], day, weight, stage_id)
                day += self._one_of(1, 1, 1, 3, 0)
                weight *= 1.02 if weight < 310 else 0.5  # what is stored may fall, too

    def _stage_of_run(self, run: Row) -> int | None:
        """Return the third stage of the species of a projection run, null where it has none."""
        batches = {batch["id"]: batch for batch in self.rows["batch_batch"]}
        for scenario in self.rows["scenario"]:
            if scenario["scenario_id"] == run["scenario_id"] and scenario["batch_id"] in batches:
                species = batches[scenario["batch_id"]]["species_id"]
                return self._nth_id("batch_lifecyclestage", (species - 1) * len(_STAGES) + 3)
        return None

    def _projected_day(self, run_id: int, day: int, weight: float, stage_id: int | None) -> None:
        self._add(
            "scenario_scenarioprojection",
            projection_run_id=run_id,
            projection_date=self._usually(self._date(day), None, _LONG_AGO),
            current_stage_id=self._usually(stage_id, None),
            average_weight=self._weight(weight),
            population=self._usually(self._one_of(900.0, 850.4, 0.0), -1.0, 0.6, None),
        )

    def _foresight(self) -> None:
        """Draw what only forecasts read; after all else, as plans are."""
        station_id = self._add("infrastructure_freshwaterstation", name="station")
        hall_id = self._add("infrastructure_hall", name="hall", freshwater_station_id=station_id)
        area_id = self._add("infrastructure_area", name="area")
        for container in self.rows.get("infrastructure_container", ()):
            site = self._one_of("hall_id", "area_id", None)
            if site:
                container[site] = hall_id if site == "hall_id" else area_id
        for _ in self._some(0, 1, 2):
            self._calibration(station_id, area_id)
        for batch in self.rows["batch_batch"]:
            for _ in self._some(0, 1, 3):
                self._activity(batch)

    def _activity(self, batch: Row) -> None:
        """Draw a planned activity; some are done at about the time of a measurement."""
        kind = self._one_of("HARVEST", "TRANSFER", "VACCINATION", "SAMPLING")
        status = self._one_of("PENDING", "IN_PROGRESS", "COMPLETED", "CANCELLED")
        container_id = self._one_of(None, self._id_of("infrastructure_container"))
        completed_at = None
        measured = self._measured_dates(batch)
        if measured and self._chance(70):
            status = self._usually("COMPLETED", "PENDING")
            kind = self._one_of("SAMPLING", "SAMPLING", "VACCINATION", "TRANSFER")
            container_id, day = self._one_of(*measured)
            container_id = self._one_of(None, container_id)
            days_later = timedelta(days=self._one_of(0, 1, -1, 2))
            hour = self._one_of(12, 0, 23)
            completed_at = datetime.combine(day + days_later, time(hour), UTC)
        self._add(
            "planning_plannedactivity",
            activity_type=kind,
            status=status,
            due_date=self._date(self.days),
            completed_at=completed_at,
            batch_id=batch["id"],
            container_id=container_id,
        )

    def _measured_dates(self, batch: Row) -> list[tuple[int, date]]:
        """Return where and when fish of a batch were measured, as far as that can be true."""
        containers = {
            stay.assignment_id: stay.container_id
            for stay in self.stays
            if stay.batch.batch_id == batch["id"]
        }
        records = [
            (row["assignment_id"], row["sample_date"])
            for row in self.rows.get("batch_growthsample", ())
        ] + [
            (row["assignment_id"], row["sampling_date"])
            for row in self.rows.get("health_healthsamplingevent", ())
        ]
        return [
            (containers[assignment_id], day)
            for assignment_id, day in records
            if assignment_id in containers
            and day is not None
            and self.first_date <= day <= self.as_of
        ]

    def _calibration(self, station_id: int, area_id: int) -> None:
        calibration_id = self._add(
            "calibrations",
            calibrated_by="somebody",
            as_of_date=self.as_of,
            anchor_pair_count=10,
            process_noise=self._one_of(None, 0.00001, 0.0005),
            engine_version=1,
        )
        sites = (("all", None), ("station", station_id), ("area", area_id))
        for stage in self.rows["batch_lifecyclestage"]:
            for site_kind, site_id in sites:
                if self._chance(40):
                    factor = self._one_of(1.0, 0.8, 1.3)
                    self.rows.setdefault("calibrated_tgc", []).append(
                        {
                            "calibration_id": calibration_id,
                            "lifecycle_stage_id": stage["id"],
                            "site_kind": site_kind,
                            "site_id": site_id,
                            "tgc_model": 2.5,
                            "tgc_fitted": 2.5 * factor,
                            "tgc": 2.5 * factor,
                            "tgc_low": 2.4 * factor,
                            "tgc_high": 2.6 * factor,
                            "tgc_factor": factor,
                            "tgc_factor_variance": self._one_of(0.01, 0.0001),
                            "anchor_pair_count": 10,
                        }
                    )

    def _id_of(self, table: str) -> int | None:
        """Draw the id of a row that is there, or null where there is none."""
        rows = self.rows.get(table)
        return self.random.choice(rows)[_KEYS.get(table, "id")] if rows else None

    # -- batches and their assignments --------------------------------------------------------

    def _batch(self) -> None:
        first = self._one_of(0, 0, self._whole(0, self.days // 2))
        species = self._one_of(1, 2) if self.has_second_species else 1
        number = len(self.rows.get("batch_batch", ())) + 1
        row: Row = {
            "batch_number": f"B{number}",
            "status": "ACTIVE",
            "batch_type": "STANDARD",
            "species_id": species,
            "lifecycle_stage_id": 1,
            "start_date": self._date(first),
            "actual_end_date": None,
        }
        if self._chance(25):
            row["actual_end_date"] = self._date(self._whole(first, self.days))
        batch_id = self._add("batch_batch", **row)
        batch = _Batch(batch_id, species, first, self.rows["batch_batch"][-1])
        self._scenarios(batch)
        self._add("batch_batchtransferworkflow", batch_id=batch_id, planned_activity_id=None)
        if self._chance(60):
            self.rows["batch_batchtransferworkflow"][-1]["planned_activity_id"] = 70 + batch_id
        self._waves(batch)

    def _waves(self, batch: _Batch) -> None:
        """Draw groups of assignments, one after the other, and the ways between them."""
        day = batch.first + self._one_of(0, 0, 1) - self._usually(0, 2)
        wave: list[_Stay] = []
        for number in range(self._one_of(1, 2, 2, 3, 4)):
            room = _MOST_ASSIGNMENTS - len(self.stays)
            if day > self.days or room < 1:
                return
            size = min(self._one_of(1, 1, 2, 2, 3), room)
            length = self._one_of(5, 2, 1, 3, 8, 13, 21, 34, 0)
            sources, wave = wave, [self._assignment(batch, day, length) for _ in range(size)]
            if number == 0:
                for stay in wave:
                    self._stocking(stay)
            else:
                self._handover(sources, wave)
            day += length + self._one_of(0, 0, 0, 0, 1, 2)

    def _assignment(self, batch: _Batch, day: int, length: int) -> _Stay:
        first = day + (self._one_of(1, -1, 2) if self._chance(10) else 0)
        end = day + length + (self._one_of(1, -1, 2) if self._chance(10) else 0)
        departs = not self._chance(20) and end >= first
        fish = self._one_of(self._whole(1, 20), self._whole(100, 3000), 50_000)
        stage = self._whole(1, 4) + (len(_STAGES) if batch.species == 2 else 0)
        stage_id = self._nth_id("batch_lifecyclestage", stage)
        if not self._chance(25):
            container_id = self._container()
        else:
            container_id = self._id_of("infrastructure_container") or self._container()
        row: Row = {
            "population_count": fish,
            "assignment_date": self._usually(self._date(first), None, _LONG_AGO),
            "departure_date": self._date(end) if departs else None,
            "is_active": not departs and not self._chance(40),
            "batch_id": self._usually(batch.batch_id, _MISSING, None),
            "container_id": container_id,
            "lifecycle_stage_id": self._usually(stage_id, _MISSING, None),
            "avg_weight_g": self._weight(0.15, 1.2, 4.5, 30.0, 150.0, None),
        }
        if departs and self.oddity_percent and self._chance(2):
            row["departure_date"] = self._date(first - 1)
        stay = _Stay(
            assignment_id=self._add("batch_batchcontainerassignment", **row),
            batch=batch,
            container_id=container_id,
            first=first,
            end=end if departs else max(self.days, first),
            departs=departs,
            fish=fish,
            row=self.rows["batch_batchcontainerassignment"][-1],
        )
        if self._chance(40):
            stay.row["population_count"] = self._usually(self._one_of(0, fish // 2), -3, None)
        self.stays.append(stay)
        return stay

    def _container(self) -> int:
        number = len(self.rows.get("infrastructure_container", ())) + 1
        return self._add("infrastructure_container", name=f"C{number}", container_type_id=1)

    # -- movements ----------------------------------------------------------------------------

    def _stocking(self, stay: _Stay) -> None:
        """Stock by creation actions, or leave it to the rebuilt count."""
        for _ in self._some(1, 0, 0, 2, 3):
            late = self._one_of(1, -1, 3) if self._chance(30) else 0
            eggs = self._whole(1, stay.fish)
            self._add(
                "batch_creationaction",
                dest_assignment_id=self._usually(stay.assignment_id, _MISSING),
                status="PENDING" if self._chance(10) else "COMPLETED",
                egg_count_actual=self._usually(eggs, None, -4),
                mortality_on_arrival=self._usually(
                    self._one_of(0, eggs // 10, eggs), eggs + 1, -1, None
                ),
                actual_delivery_date=self._event_date(stay.first + late),
            )

    def _handover(self, sources: Sequence[_Stay], wave: Sequence[_Stay]) -> None:
        """Bring the fish of one wave to the next; some of it nobody writes down."""
        if self._chance(25) and len(self.stays) < _MOST_ASSIGNMENTS:
            self._by_way_of_stops(sources, wave)
        else:
            for destination in wave:
                for _ in self._some(1, 1, 0, 2, 3):
                    source = self._one_of(*sources)
                    count = self._one_of(source.fish // len(wave), self._whole(0, source.fish))
                    self._transfer(source, destination, destination.first, count)
        if self._chance(5):
            self._stocking(wave[0])

    def _by_way_of_stops(self, sources: Sequence[_Stay], wave: Sequence[_Stay]) -> None:
        """Let fish pass within a day through one vessel, or one vessel and the next."""
        day = wave[0].first
        first_stop = last_stop = self._stop(sources[0].batch, day)
        brought = 0
        for source in sources:
            for _ in self._some(1, 1, 0, 2):
                count = self._one_of(source.fish, source.fish // 2, self._whole(0, 5))
                self._transfer(source, first_stop, day, count)
                brought += count
        if self._chance(30) and len(self.stays) < _MOST_ASSIGNMENTS:
            last_stop = self._stop(sources[0].batch, day)
            passed = self._one_of(brought, brought // 3)
            self._transfer(first_stop, last_stop, day, passed)
            brought = self._one_of(passed, brought)
        for destination in wave:
            stop = self._one_of(last_stop, first_stop)
            count = self._one_of(brought // len(wave), brought, brought // 7 + 1)
            self._transfer(stop, destination, day, count)
        if self._chance(10):
            self._transfer(last_stop, first_stop, day, 1)

    def _stop(self, batch: _Batch, day: int) -> _Stay:
        stop = self._assignment(batch, day, 0)
        stop.first = stop.end = day
        stop.departs = True
        stop.row.update(assignment_date=self._date(day), departure_date=self._date(day))
        return stop

    def _meetings(self) -> Iterator[tuple[_Stay, _Stay]]:
        """Draw pairs of assignments, also of two batches, that share at least a day."""
        for _ in self._some(0, 1, 2, 4):
            source = self._one_of(*self.stays)
            others = [stay for stay in self.stays if stay is not source and source.meets(stay)]
            if others:
                yield source, self._one_of(*others)

    def _transfer_between(self, source: _Stay, destination: _Stay) -> None:
        """Move some fish while both are there, perhaps more on that day, perhaps back."""
        first, last = max(source.first, destination.first), min(source.end, destination.end)
        day = self._one_of(last, first, self._whole(first, last))
        count = self._whole(0, source.fish // 2 + 1)
        for _ in self._some(1, 2):
            self._transfer(source, destination, day, count)
        if self._chance(30):
            self._transfer(destination, source, day + self._one_of(0, 1), count // 2)

    def _transfer(self, source: _Stay, destination: _Stay, day: int, count: int) -> None:
        late = self._one_of(1, 2, -1) if self._chance(12) else 0
        row: Row = {
            "workflow_id": self._usually(source.batch.batch_id, _MISSING),
            "source_assignment_id": self._usually(source.assignment_id, None, _MISSING),
            "dest_assignment_id": self._usually(
                destination.assignment_id, None, source.assignment_id
            ),
            "status": "PENDING" if self._chance(4) else "COMPLETED",
            "actual_execution_date": self._event_date(day + late),
            "source_population_before": self._usually(source.fish, -1, None),
            "transferred_count": self._usually(count, -count, None),
            "mortality_during_transfer": self._usually(
                self._one_of(0, 0, 0, count // 100, count // 30, count), -1, None
            ),
            "selection_method": "AVERAGE",
        }
        if self._chance(25):
            row["source_population_before"] = self._one_of(None, 0, source.fish // 2, count)
        if self._chance(30):
            row["measured_avg_weight_g"] = self._weight(1.1, 0.3, 5.5, 25.0, 120.0)
            row["measured_sample_size"] = self._one_of(30, None, 0, 7)
            row["selection_method"] = self._one_of("AVERAGE", "LARGEST", "SMALLEST")
            if self._chance(8):
                row["selection_method"] = self._one_of(None, "RANDOM")
        self._add("batch_transferaction", **row)

    def _harvests(self, stay: _Stay) -> None:
        for _ in self._some(0, 0, 0, 1, 2):
            event_id = self._add(
                "harvest_harvestevent",
                assignment_id=self._usually(stay.assignment_id, _MISSING),
                batch_id=stay.batch.batch_id,
                event_date=self._event_at(self._one_of(stay.end, self._day_of(stay))),
            )
            for _ in self._some(1, 0, 2):
                self._add(
                    "harvest_harvestlot",
                    event_id=self._usually(event_id, _MISSING),
                    unit_count=self._count(self._one_of(stay.fish, stay.fish // 4)),
                    live_weight_kg=1,
                )

    # -- deaths -------------------------------------------------------------------------------

    def _deaths(self, stay: _Stay) -> None:
        for _ in self._some(0, 1, 2, 4):
            self._add(
                "batch_mortalityevent",
                batch_id=self._usually(stay.batch.batch_id, _MISSING, None),
                assignment_id=self._usually(stay.assignment_id, _MISSING),
                event_date=self._event_date(self._day_of(stay)),
                count=self._count(self._one_of(2, 0, stay.fish // 10, stay.fish + 5)),
            )
        for _ in self._some(0, 0, 1, 2):
            names_assignment = self._chance(50)
            self._add(
                "health_mortalityrecord",
                batch_id=self._usually(stay.batch.batch_id, None),
                assignment_id=stay.assignment_id if names_assignment else None,
                container_id=self._usually(
                    None if names_assignment else stay.container_id, _MISSING
                ),
                event_date=self._event_at(self._day_of(stay)),
                count=self._count(self._one_of(2, 0, stay.fish // 10)),
            )

    def _deaths_of_batches(self) -> None:
        for batch in self.rows.get("batch_batch", ()):
            for _ in self._some(0, 0, 1, 2, 3):
                day = self._whole(-1, self.days)
                count = self._count(self._one_of(3, 10, 500, 0))
                if self._chance(30):
                    self._add(
                        "health_mortalityrecord",
                        batch_id=batch["id"],
                        event_date=self._event_at(day),
                        count=count,
                    )
                else:
                    self._add(
                        "batch_mortalityevent",
                        batch_id=batch["id"],
                        assignment_id=None,
                        event_date=self._event_date(day),
                        count=count,
                    )

    # -- anchors ------------------------------------------------------------------------------

    def _anchors(self, stay: _Stay) -> None:
        for _ in self._some(0, 0, 1, 2):
            self._growth_samples(stay)
        for _ in self._some(0, 0, 0, 1, 2):
            self._health_sampling(stay)
        if self._chance(12):
            self._add(
                "manual_anchors",
                assignment_id=self._usually(stay.assignment_id, _MISSING),
                anchor_date=self._date(self._day_of(stay)),
                weight_g=self._usually(self._one_of(0.7, 4.4, 60.0), 0.0, 60000.0),
                reason="estimate",
                entered_by="operator",
            )

    def _growth_samples(self, stay: _Stay) -> None:
        day = self._one_of(self._day_of(stay), stay.end)
        for _ in self._some(1, 1, 1, 2):
            self._add(
                "batch_growthsample",
                assignment_id=self._usually(stay.assignment_id, _MISSING, None),
                sample_date=self._event_date(day),
                sample_size=self._one_of(20, 55, 0, None),
                avg_weight_g=self._weight(1.7, 0.3, 0.95, 14.0, 48.0, 300.0),
            )

    def _health_sampling(self, stay: _Stay) -> None:
        day = self._day_of(stay)
        sampling_event_id = self._add(
            "health_healthsamplingevent",
            assignment_id=self._usually(stay.assignment_id, _MISSING, None),
            sampling_date=self._event_date(day),
            number_of_fish_sampled=self._one_of(5, 10, 0, None),
            avg_weight_g=self._weight(0.8, 3.3, 26.0) if self._chance(70) else None,
        )
        for _ in self._some(0, 1, 3):
            self._add(
                "health_individualfishobservation",
                sampling_event_id=self._usually(sampling_event_id, _MISSING),
                weight_g=self._usually(self._one_of(1.0, 2.5, 30.0, None), 0.0, 60000.0),
            )
        for _ in self._some(0, 1, 1, 2):
            self._add(
                "health_treatment",
                batch_id=self._usually(stay.batch.batch_id, _MISSING, None),
                batch_assignment_id=stay.assignment_id,
                treatment_date=self._event_at(day + self._one_of(0, 0, 1, -1)),
                treatment_type="vaccination",
                includes_weighing=not self._chance(15),
                sampling_event_id=self._usually(sampling_event_id, None, _MISSING),
            )

    def _exclusions(self) -> None:
        measured = [
            row
            for row in self.rows.get("batch_transferaction", ())
            if row.get("measured_avg_weight_g") is not None
        ]
        for anchor_type, rows in (
            ("growth_sample", self.rows.get("batch_growthsample")),
            ("transfer", measured),
            ("vaccination", self.rows.get("health_treatment")),
            ("health_sampling", self.rows.get("health_healthsamplingevent")),
            ("manual", self.rows.get("manual_anchors")),
        ):
            if rows and self._chance(25):
                key = OPS_TABLES["manual_anchors"] if anchor_type == "manual" else "id"
                self._add(
                    "anchor_exclusions",
                    anchor_type=anchor_type,
                    record_id=self.random.choice(rows)[key],
                    reason="a bad sample",
                    excluded_by="operator",
                )

    # -- feed and water -----------------------------------------------------------------------

    def _feed(self, stay: _Stay) -> None:
        for _ in self._some(0, 0, 2, 4):
            names_batch = self._chance(60)
            self._add(
                "inventory_feedingevent",
                feeding_date=self._event_date(self._day_of(stay)),
                amount_kg=self._usually(self._one_of(1.5, 0.0625, 40.0, 0.0, 900.0), -1.0, None),
                batch_id=stay.batch.batch_id if names_batch else None,
                batch_assignment_id=(
                    stay.assignment_id if names_batch and self._chance(50) else None
                ),
                container_id=self._usually(stay.container_id, _MISSING, None),
            )

    def _parameters(self) -> None:
        for name in ("Temperature", "Oxygen", "temperature"):
            self._add(_PARAMETERS, name=name, unit="-")

    def _readings(self) -> None:
        for container in self.rows.get("infrastructure_container", ()):
            if not self._chance(75):
                continue
            day = self._whole(-5, 10)
            while day <= self.days + 2:
                temp_c = self._one_of(8.0, 10.5, 4.0, 0.0, 14.0, -1.5)
                for number in self._some(1, 1, 2, 5, 20):
                    self._reading(container["id"], day, temp_c + number / 4)
                    day += 1
                day += self._one_of(0, 1, 2, 3, 6, 8, 13, 14, 15, 25)

    def _reading(self, container_id: int, day: int, temp_c: float) -> None:
        self._add(
            "environmental_environmentalreading",
            container_id=container_id,
            parameter_id=self._nth_id(_PARAMETERS, self._one_of(1, 1, 1, 1, 3, 2)),
            reading_time=self._event_at(day),
            value=self._usually(temp_c, 85.0, -40.0, None),
        )
        if self._chance(10):
            self._add(
                "environmental_environmentalreading",
                container_id=container_id,
                parameter_id=self._nth_id(_PARAMETERS, 1),
                reading_time=self._event_at(day),
                value=temp_c + 1.25,
            )
