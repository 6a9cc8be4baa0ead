"""What a state was made of, as plain data. Weights are in g, temperatures in °C, feed in kg."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal

MOST_IDS: Final = 4
"""Ids that a reference lists one by one; of more it names the first, the last, and how many."""


@dataclass(frozen=True)
class Ref:
    """Rows of one table: their ids, or the first and the last id of `count` rows."""

    table: str
    ids: tuple[int, ...]
    count: int

    @staticmethod
    def of(table: str, *ids: int) -> Ref:
        """Refer to rows whose ids are all known."""
        return Ref(table, ids, len(ids))

    @staticmethod
    def span(table: str, first_id: int, last_id: int, count: int) -> Ref:
        """Refer to `count` rows with ids from the first to the last."""
        return Ref(table, (first_id,) if count == 1 else (first_id, last_id), count)

    def __str__(self) -> str:
        """Write table#id, as a person reads and searches for it."""
        if not self.ids:
            return self.table
        if self.count > len(self.ids) or len(self.ids) > MOST_IDS:
            return f"{self.table}#{self.ids[0]} to #{self.ids[-1]} ({self.count:,} rows)"
        return f"{self.table}#" + ", #".join(str(number) for number in self.ids)


@dataclass(frozen=True)
class Rules:
    """The vars of the build that the equations depend on."""

    growth_formula: str = "cube_root"
    missing_mortality: str = "model"
    fcr_cap: float = 10.0
    min_gain_kg_for_fcr: float = 1.0
    max_interpolation_gap_days: int = 14
    short_interpolation_gap_days: int = 3
    max_nearest_gap_days: int = 7


@dataclass(frozen=True)
class Stay:
    """A batch's assignment to a container, and what the asked day is in it."""

    batch_id: int
    batch_number: str
    container_id: int
    container_name: str
    place: str
    assignment_id: int
    assignment_date: date
    departure_date: date | None
    last_active_date: date
    as_of_date: date
    has_state: bool
    note: str | None = None


@dataclass(frozen=True)
class Before:
    """The state at the end of the day before; row 0 on the first day."""

    state_date: date
    population: int
    weight_g: float
    mortality_carry: float
    lifecycle_stage_id: int
    lifecycle_stage_name: str
    is_row_zero: bool
    is_arrival_inferred: bool
    weight_from: str | None = None
    """Row 0 only: where the weight of stocked fish comes from."""
    refs: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class Movement:
    """Fish that arrive or leave; `weight_g` is their mean weight before the day's growth."""

    direction: Literal["in", "out"]
    movement_type: str
    fish_count: int
    weight_g: float | None
    weight_from: str
    other_container: str | None
    other_batch: str | None
    other_assignment_id: int | None
    departed_date: date
    arrived_date: date
    is_inferred: bool
    refs: tuple[Ref, ...]
    weight_refs: tuple[Ref, ...] = ()
    count_from: str | None = None
    """Stocked with a rebuilt number: what it was rebuilt from."""


@dataclass(frozen=True)
class DeathRecord:
    """A raw record of deaths, and whether it counts."""

    ref: Ref
    death_count: int | None
    is_for_batch: bool
    is_used: bool
    reason: str | None = None


@dataclass(frozen=True)
class Deaths:
    """The day's deaths: own records, a share of the batch's, or the model's."""

    mortality_source: str
    mortality_count: int
    recorded_deaths: int | None
    """Deaths recorded for the assignment; None: none recorded."""
    batch_deaths: int | None
    """Deaths recorded for the batch alone; None: none recorded."""
    is_record_rejected: bool
    present_counts: tuple[tuple[int, int], ...]
    """(assignment, fish present) of the batch's assignments with a state that day."""
    batch_start_count: int
    """Fish of the batch in the day before, and arrivals."""
    records: tuple[DeathRecord, ...]


@dataclass(frozen=True)
class MeasuredDay:
    """The temperature readings of a container on a day, or a day of a temperature profile."""

    day: date | int
    temp_c: float
    lowest_c: float
    highest_c: float
    refs: tuple[Ref, ...]
    count: int


@dataclass(frozen=True)
class Temperature:
    """The day's temperature and what it was found from."""

    temp_c: float | None
    temp_source: str
    temp_confidence: float | None
    days: tuple[MeasuredDay, ...]
    """The day itself, or the measured days (or profile days) around it, in their order."""
    profile_day: int | None = None
    profile_ref: Ref | None = None
    rejected: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A parameter of the model in force: its value, unit, and where it comes from."""

    name: str
    value: float | None
    unit: str
    comes_from: str
    refs: tuple[Ref, ...]


@dataclass(frozen=True)
class Parameters:
    """The scenario and the parameters of the stage the fish had reached."""

    scenario_source: str
    scenario_name: str | None
    scenario_refs: tuple[Ref, ...]
    tgc_model: str
    mortality_model: str
    model_refs: tuple[Ref, ...]
    tgc: float
    stored_tgc: float
    prescaled_tgc_limit: float
    exponent_n: float | None
    exponent_m: float | None
    daily_mortality_rate: float
    stored_rate_percent: float
    is_rate_weekly: bool
    max_weight_g: float | None
    cap_weight_g: float | None
    next_lifecycle_stage_id: int | None
    next_lifecycle_stage_name: str | None
    listed: tuple[Parameter, ...]


@dataclass(frozen=True)
class Measurement:
    """A measured weight of the assignment on the day; `weight_g` computed anew from raw values."""

    anchor_type: str
    record_id: int
    weight_g: float
    published_weight_g: float
    sample_size: int | None
    anchor_status: str
    said: str
    refs: tuple[Ref, ...]


@dataclass(frozen=True)
class Anchor:
    """The anchor of the day."""

    anchor_type: str
    weight_g: float
    confidence: float | None


@dataclass(frozen=True)
class FeedRecord:
    """A feeding event, and what it names."""

    ref: Ref
    amount_kg: float | None
    names: Literal["assignment", "batch and container", "container"]
    is_used: bool


@dataclass(frozen=True)
class Feed:
    """The day's feed: what was recorded, and the share of feed that names only the container."""

    feed_kg: float | None
    feed_source: str
    own_kg: float | None
    container_kg: float | None
    share_kg: float | None
    sharing: tuple[tuple[int, float], ...]
    """(assignment, biomass) of those that share the container's feed."""
    records: tuple[FeedRecord, ...]


@dataclass(frozen=True)
class Unused:
    """A record of the day that changed nothing, and why."""

    ref: Ref
    what: str
    reason: str


@dataclass(frozen=True)
class Engine:
    """What the recursion stored for the day, unrounded."""

    population: int
    weight_g: float
    mortality_carry: float
    stayed_count: int
    arrived_count: int
    departed_count: int
    mortality_count: int
    count_adjustment: int
    mixed_weight_g: float
    modelled_weight_g: float
    weight_source: str
    is_arrival_inferred: bool


@dataclass(frozen=True)
class Published:
    """The row of daily_assignment_states."""

    day_number: int
    lifecycle_stage_id: int
    lifecycle_stage_name: str | None
    avg_weight_g: float
    population: int
    biomass_kg: float
    temp_c: float | None
    mortality_count: int
    feed_kg: float | None
    gain_kg: float | None
    observed_fcr: float | None
    arrived_count: int
    departed_count: int
    count_adjustment: int
    anchor_type: str | None
    temp_source: str
    temp_confidence: float | None
    mortality_source: str
    mortality_confidence: float | None
    feed_source: str
    feed_confidence: float | None
    weight_source: str
    weight_confidence: float | None
    fcr_source: str
    fcr_confidence: float | None
    is_provisional: bool
    is_arrival_inferred: bool
    planned_activity_id: int | None
    last_computed_at: datetime


@dataclass(frozen=True)
class StateDay:
    """Everything behind one state."""

    stay: Stay
    state_date: date
    rules: Rules
    before: Before
    movements: tuple[Movement, ...]
    deaths: Deaths
    temperature: Temperature
    parameters: Parameters
    anchor: Anchor | None
    measurements: tuple[Measurement, ...]
    feed: Feed
    unused: tuple[Unused, ...]
    confidences: dict[str, dict[str, float]]
    """Confidence by quantity and source, as the seed has them."""
    engine: Engine
    published: Published


@dataclass(frozen=True)
class Reconciliation:
    """What population_reconciliation says of a departure day."""

    transferred_count: int
    inferred_count: int
    transfer_mortality_count: int
    harvested_count: int
    mortality_count: int
    left_count: int
    count_adjustment: int | None


@dataclass(frozen=True)
class Departure:
    """A day without a state, on which fish left, passed through, or were on their way."""

    stay: Stay
    state_date: date
    kind: Literal["departure", "in_transit", "passing_through"]
    before: Before | None
    """The last state; None where the fish passed through on one day."""
    movements: tuple[Movement, ...]
    death_count: int
    deaths: tuple[DeathRecord, ...]
    measurements: tuple[Measurement, ...]
    unused: tuple[Unused, ...] = field(default_factory=tuple)
    reconciliation: Reconciliation | None = None


def joined(refs: Iterable[Ref]) -> str:
    """Write several references one after the other, each once."""
    return ", ".join(dict.fromkeys(str(ref) for ref in refs))
