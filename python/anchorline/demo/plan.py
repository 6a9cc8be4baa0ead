"""The plan of a batch: its stays, what moves between them, and what is special about them.

Days are counted since 1970-01-01.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from anchorline.demo.sites import Container, Site

EPOCH: Final = date(1970, 1, 1)


def day_number(day: date) -> int:
    """Return the days since 1970-01-01."""
    return (day - EPOCH).days


def to_date(day: int) -> date:
    """Return the date of a number of days since 1970-01-01."""
    return EPOCH + timedelta(days=day)


@dataclass(eq=False)
class BatchPlan:
    """A batch: who it is, when it starts, and how its farm keeps its books."""

    index: int
    batch_id: int
    batch_number: str
    batch_type: str
    site: Site
    start_day: int
    features: frozenset[str]
    tgc_factor: float
    mortality_factor: float
    is_count_lowered: bool
    """Whether transfers and harvests lower `population_count`."""
    stays: list[Stay] = field(default_factory=list)
    end_day: int | None = None
    """Day of the last harvest, once all pens are empty."""

    def in_stage(self, stage: int) -> list[Stay]:
        """Return the stays that begin in a stage, in the order of their containers."""
        return [stay for stay in self.stays if stay.stage == stage and not stay.is_vessel]


@dataclass(eq=False)
class Stay:
    """A batch's stay in one container: an assignment."""

    index: int
    """Row of the arrays of the truth."""
    assignment_id: int
    batch: BatchPlan
    container: Container
    stage: int
    first_day: int
    departure_day: int | None = None
    last_harvest_day: int | None = None
    is_vessel: bool = False

    def end_day(self, horizon_day: int) -> int:
        """Return the day after the last active one; `horizon_day` is that after the load."""
        if self.departure_day is not None:
            return min(self.departure_day, horizon_day)
        if self.last_harvest_day is not None:
            return min(self.last_harvest_day + 1, horizon_day)
        return horizon_day


@dataclass(eq=False)
class Move:
    """Fish that arrive, move, die on their departure day, or are harvested.

    The second half is filled in by the simulation of the truth.
    """

    kind: str
    """stocking | transfer | deaths | harvest."""
    day: int
    source: Stay | None = None
    dest: Stay | None = None
    share: float | None = None
    """Share of the fish that are there; null takes all."""
    count: int = 0
    """Fish stocked."""
    recorded_count: int = 0
    lag_days: int = 0
    """Days after the departure on which the transfer is executed."""
    selection_method: str = "AVERAGE"
    is_measured: bool = False
    record: str = "full"
    """full | absorbing (the next move is booked here as dead) | none."""
    workflow: str = ""
    cases: tuple[str, ...] = ()

    before_count: int = 0
    before_weight_g: float = 0.0
    moved_count: int = 0
    lost_count: int = 0
    weight_g: float = 0.0

    @property
    def arrival_day(self) -> int:
        """The day on which the fish are at their destination."""
        return self.day + self.lag_days


@dataclass(frozen=True)
class Special:
    """Something to be observed in a special way at a stay, on some days."""

    kind: str
    stay: Stay
    first_day: int
    last_day: int


@dataclass
class LineagePlan:
    """Batches that are simulated together because their fish meet; usually one."""

    horizon_day: int
    """The day after that of the load."""
    batches: list[BatchPlan] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    specials: list[Special] = field(default_factory=list)

    @property
    def origin_day(self) -> int:
        """The first day on which one of the batches lives."""
        return min(batch.start_day for batch in self.batches)

    @property
    def day_count(self) -> int:
        """The number of days from the origin to the last one on which there are fish."""
        return max(stay.end_day(self.horizon_day) for stay in self.stays) - self.origin_day + 1

    def add_stay(
        self,
        assignment_id: int,
        batch: BatchPlan,
        container: Container,
        stage: int,
        first_day: int,
        *,
        is_vessel: bool = False,
    ) -> Stay:
        """Add a stay that lasts until something ends it."""
        stay = Stay(
            index=len(self.stays),
            assignment_id=assignment_id,
            batch=batch,
            container=container,
            stage=stage,
            first_day=first_day,
            is_vessel=is_vessel,
        )
        if is_vessel:
            stay.departure_day = first_day
        self.stays.append(stay)
        batch.stays.append(stay)
        return stay

    def note(self, kind: str, stay: Stay, first_day: int, days: int = 1) -> None:
        """Note that something special is to be observed, where the stay lasts so long."""
        last_day = first_day + days - 1
        if first_day >= stay.first_day and last_day < stay.end_day(self.horizon_day):
            self.specials.append(Special(kind, stay, first_day, last_day))

    def special(self, kind: str) -> list[Special]:
        """Return what is special in one way."""
        return [special for special in self.specials if special.kind == kind]
