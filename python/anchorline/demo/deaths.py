"""Deaths as a farm writes them down: mostly, by assignment, and sometimes otherwise."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from anchorline.demo.biology import Floats, Integers
from anchorline.demo.plan import LineagePlan, Special
from anchorline.demo.registry import Records
from anchorline.demo.truth import Truth
from anchorline.demo.writing import Writer, to_days

_UNRECORDED_SHARE: Final = 0.01
_TWO_ROWS_SHARE: Final = 0.02
_NOON_SECONDS: Final = 12 * 3600


class Channel(IntEnum):
    """Where the deaths of a stay and day are written down."""

    NOWHERE = 0
    ASSIGNMENT = 1
    HEALTH_ASSIGNMENT = 2
    HEALTH_CONTAINER = 3
    BATCH = 4
    HEALTH_BATCH = 5


_CHANNELS: Final = {
    "deaths_unrecorded": Channel.NOWHERE,
    "deaths_zero": Channel.ASSIGNMENT,
    "deaths_batch_alone": Channel.BATCH,
    "health_deaths_assignment": Channel.HEALTH_ASSIGNMENT,
    "health_deaths_container": Channel.HEALTH_CONTAINER,
    "health_deaths_batch": Channel.HEALTH_BATCH,
    "health_deaths_beside": Channel.ASSIGNMENT,
}


class DeathRecords:
    """What is written down of a lineage's deaths."""

    def __init__(
        self, plan: LineagePlan, truth: Truth, records: Records, rng: np.random.Generator
    ) -> None:
        self._plan = plan
        self._truth = truth
        self._records = records
        self._rng = rng
        self._batch_ids = np.array([stay.batch.batch_id for stay in plan.stays], dtype=np.int64)
        self._assignment_ids = np.array([stay.assignment_id for stay in plan.stays], dtype=np.int64)
        self._container_ids = np.array(
            [stay.container.container_id for stay in plan.stays], dtype=np.int64
        )
        self.channels = self._choose_channels()

    def _choose_channels(self) -> npt.NDArray[np.int8]:
        plan, truth = self._plan, self._truth
        channels = np.where(truth.is_active, Channel.ASSIGNMENT, Channel.NOWHERE).astype(np.int8)
        channels[self._rng.random(channels.shape) < _UNRECORDED_SHARE] = Channel.NOWHERE
        for stay in plan.stays:
            if "only_deaths_when_any" in stay.batch.features:
                channels[stay.index, truth.died[stay.index] == 0] = Channel.NOWHERE
        for special in plan.specials:
            if special.kind in _CHANNELS:
                channels[special.stay.index, self._columns(special)] = _CHANNELS[special.kind]
        return channels

    def _columns(self, special: Special) -> slice:
        origin = self._plan.origin_day
        return slice(special.first_day - origin, special.last_day + 1 - origin)

    def booked(self) -> Integers:
        """Return the deaths that the book of each assignment knows; shape (stays, days)."""
        named = (self.channels >= Channel.ASSIGNMENT) & (self.channels <= Channel.HEALTH_CONTAINER)
        booked: Integers = np.where(named, self._truth.died, 0)
        return booked

    def write(self, writer: Writer) -> None:
        """Write all rows of deaths and register their cases."""
        self._write_events(writer)
        self._write_health(writer)
        self._write_batch_alone(writer)
        self._write_departure_days()
        for special in self._plan.special("deaths_unrecorded"):
            self._records.case(
                "deaths_unrecorded", "batch_batchcontainerassignment", special.stay.assignment_id
            )
        for batch in self._plan.batches:
            if "only_deaths_when_any" in batch.features:
                self._records.case("deaths_only_when_any", "batch_batch", batch.batch_id)

    def _write_events(self, writer: Writer) -> None:
        rows, columns = np.nonzero(self.channels == Channel.ASSIGNMENT)
        counts = self._truth.died[rows, columns]
        second = np.flatnonzero((self._rng.random(len(rows)) < _TWO_ROWS_SHARE) & (counts > 1))
        position = np.concatenate([np.arange(len(rows)), second])
        count = np.concatenate([counts, counts[second] // 2])
        count[second] -= counts[second] // 2
        row, column = rows[position], columns[position]
        first_id = self._records.ids.take("batch_mortalityevent", len(position))
        causes = np.array(["UNKNOWN", "HANDLING", "DISEASE", "PREDATION"])
        cause = causes[self._rng.choice(4, len(position), p=[0.85, 0.05, 0.05, 0.05])]
        writer.block(
            "batch_mortalityevent",
            {
                "id": first_id + np.arange(len(position)),
                "event_date": to_days(column + self._plan.origin_day),
                "count": count,
                "biomass_kg": _biomass_kg(count, self._truth.weight_g[row, column]),
                "cause": cause,
                "description": "Daily check",
                "batch_id": self._batch_ids[row],
                "assignment_id": self._assignment_ids[row],
                "created_at": _noon(column + self._plan.origin_day),
                "updated_at": _noon(column + self._plan.origin_day),
            },
        )
        for special in self._plan.special("deaths_zero"):
            span = self._columns(special)
            found = np.flatnonzero((row == special.stay.index) & (column == span.start))
            for place in found[:1]:
                self._records.case("deaths_zero", "batch_mortalityevent", int(first_id + place))
        if len(second) and any("deaths_recorded_oddly" in b.features for b in self._plan.batches):
            self._records.case("deaths_two_rows", "batch_mortalityevent", first_id + len(rows))

    def _write_health(self, writer: Writer) -> None:
        beside = np.zeros(self.channels.shape, dtype=bool)
        for special in self._plan.special("health_deaths_beside"):
            beside[special.stay.index, self._columns(special)] = True
        for chosen, case, names_assignment in (
            (self.channels == Channel.HEALTH_ASSIGNMENT, "health_deaths_assignment", True),
            (self.channels == Channel.HEALTH_CONTAINER, "health_deaths_container", False),
            (beside, "health_deaths_beside", True),
        ):
            rows, columns = np.nonzero(chosen)
            if not len(rows):
                continue
            first_id = self._records.ids.take("health_mortalityrecord", len(rows))
            named = {"assignment_id": self._assignment_ids[rows]} if names_assignment else {}
            writer.block(
                "health_mortalityrecord",
                {
                    "id": first_id + np.arange(len(rows)),
                    "event_date": _noon(columns + self._plan.origin_day),
                    "count": self._truth.died[rows, columns],
                    "batch_id": self._batch_ids[rows],
                    "container_id": self._container_ids[rows],
                    **named,
                },
            )
            self._records.case(case, "health_mortalityrecord", first_id)

    def _write_batch_alone(self, writer: Writer) -> None:
        for channel, table, case in (
            (Channel.BATCH, "batch_mortalityevent", "deaths_batch_alone"),
            (Channel.HEALTH_BATCH, "health_mortalityrecord", "health_deaths_batch"),
        ):
            for batch in self._plan.batches:
                of_batch = (self._batch_ids == batch.batch_id)[:, None]
                chosen = of_batch & (self.channels == channel)
                days = np.flatnonzero(chosen.any(axis=0))
                if not len(days):
                    continue
                deaths = np.where(chosen, self._truth.died, 0).sum(axis=0)[days]
                first_id = self._records.ids.take(table, len(days))
                event_date = _noon(days + self._plan.origin_day)
                if channel == Channel.BATCH:
                    event_date = to_days(days + self._plan.origin_day)
                writer.block(
                    table,
                    {
                        "id": first_id + np.arange(len(days)),
                        "event_date": event_date,
                        "count": deaths,
                        "batch_id": np.full(len(days), batch.batch_id),
                    },
                )
                for place in range(len(days)):
                    self._records.case(case, table, first_id + place)

    def _write_departure_days(self) -> None:
        for move in self._plan.moves:
            if move.kind == "deaths" and move.source is not None:
                event_id = self._records.add(
                    "batch_mortalityevent",
                    event_date=to_days(np.array([move.day]))[0].item(),
                    count=move.moved_count,
                    biomass_kg=move.moved_count * move.weight_g / 1000.0,
                    cause="HANDLING",
                    description="Found while the tank was emptied",
                    batch_id=move.source.batch.batch_id,
                    assignment_id=move.source.assignment_id,
                )
                self._records.case("departure_day_deaths", "batch_mortalityevent", event_id)


def _biomass_kg(count: Integers, weight_g: Floats) -> Floats:
    rounded: Floats = np.round(count * weight_g / 1000.0, 2)
    return rounded


def _noon(days: npt.NDArray[np.int64]) -> npt.NDArray[np.datetime64]:
    seconds = days.astype(np.int64) * 86_400 + _NOON_SECONDS
    return seconds.astype("datetime64[s]")
