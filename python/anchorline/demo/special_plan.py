"""What is special about single batches and pairs of them, beside their chain of containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from anchorline.demo.biology import ADULT, FRY, PARR, SMOLT
from anchorline.demo.plan import BatchPlan, LineagePlan, Move, Stay
from anchorline.demo.registry import Records

_LONGEST_GAP_DAYS: Final = 20
_DAYS_BETWEEN_GAPS: Final = 6
_MEETING_DAYS_AT_SEA: Final = 60


def add_specials(lineage: LineagePlan, batch: BatchPlan) -> None:
    """Add what the batch's features ask for within single stays and between neighbours."""
    for name, add in _SPECIALS.items():
        if name in batch.features:
            add(lineage, batch)


def _selection(lineage: LineagePlan, batch: BatchPlan) -> None:
    tanks = batch.in_stage(SMOLT)
    day = tanks[0].first_day + 40
    graded = (
        ("LARGEST", 0, 1, 0.55, "measured_transfer_largest"),
        ("SMALLEST", 2, 3, 0.60, "measured_transfer_smallest"),
        ("AVERAGE", 4, 5, 0.40, "measured_transfer_average"),
    )
    for method, source, dest, share, case in graded:
        lineage.moves.append(
            Move(
                "transfer",
                day,
                tanks[source],
                tanks[dest],
                share=share,
                selection_method=method,
                is_measured=True,
                workflow="grading",
                cases=(case,),
            )
        )
    lineage.note("superseded_anchor", tanks[4], day)


def _returning(lineage: LineagePlan, batch: BatchPlan) -> None:
    tanks = batch.in_stage(SMOLT)
    start = max(tanks[6].first_day, tanks[7].first_day)
    for day, source, dest, share in ((start + 20, 6, 7, 0.3), (start + 50, 7, 6, 0.25)):
        lineage.moves.append(
            Move(
                "transfer",
                day,
                tanks[source],
                tanks[dest],
                share=share,
                workflow=f"return {day}",
                cases=("transfer_return",),
            )
        )


def _vaccination(lineage: LineagePlan, batch: BatchPlan) -> None:
    for place, tank in enumerate(batch.in_stage(PARR)):
        day = (tank.departure_day or 0) - 6
        if place in (4, 5, 6):
            lineage.note("vaccination_individuals", tank, day)
        elif place == 7:
            lineage.note("vaccination_mean_only", tank, day)
        else:
            lineage.note("vaccination_without_weighing", tank, day)


def _weights(lineage: LineagePlan, batch: BatchPlan) -> None:
    tanks = batch.in_stage(PARR)
    for tank in tanks[0:2]:
        lineage.note("manual_anchor", tank, tank.first_day + 33)
    lineage.note("excluded_sample", tanks[2], tanks[2].first_day + 40)
    for tank in tanks[3:5]:
        lineage.note("two_samples_one_day", tank, tank.first_day + 41)


def _departure_day(lineage: LineagePlan, batch: BatchPlan) -> None:
    # The day has no state row, so it is noted on the last day that has one.
    for tank in batch.in_stage(SMOLT)[-2:]:
        if tank.departure_day is not None:
            lineage.note("departure_day", tank, tank.departure_day - 1)


def _deaths_recorded_oddly(lineage: LineagePlan, batch: BatchPlan) -> None:
    tanks = batch.in_stage(FRY)
    start = max(tank.first_day for tank in tanks)
    lineage.note("deaths_unrecorded", tanks[2], start + 20, 20)
    lineage.note("deaths_zero", tanks[3], start + 20, 10)
    for tank in tanks:
        lineage.note("deaths_batch_alone", tank, start + 45, 5)


def _health_deaths(lineage: LineagePlan, batch: BatchPlan) -> None:
    tanks = batch.in_stage(FRY)
    start = max(tank.first_day for tank in tanks)
    lineage.note("health_deaths_assignment", tanks[4], start + 60, 10)
    lineage.note("health_deaths_container", tanks[5], start + 60, 10)
    lineage.note("health_deaths_beside", tanks[6], start + 60, 5)
    for tank in tanks:
        lineage.note("health_deaths_batch", tank, start + 53, 3)


def _feed_container(lineage: LineagePlan, batch: BatchPlan) -> None:
    tank = batch.in_stage(FRY)[7]
    lineage.note("feed_container_batch", tank, tank.first_day + 10, 20)


def _no_sensor(lineage: LineagePlan, batch: BatchPlan) -> None:
    tank = batch.in_stage(FRY)[8]
    days = tank.end_day(lineage.horizon_day) - tank.first_day
    lineage.note("no_sensor", tank, tank.first_day, days)


def _sensor_gaps(lineage: LineagePlan, batch: BatchPlan) -> None:
    """One gap of each length from 1 to 20 days, dealt out over the smolt tanks."""
    tanks = batch.in_stage(SMOLT)[:8]
    next_day = [tank.first_day + _DAYS_BETWEEN_GAPS for tank in tanks]
    for days in range(_LONGEST_GAP_DAYS, 0, -1):
        place = min(range(len(tanks)), key=lambda index: next_day[index])
        lineage.note("sensor_gap", tanks[place], next_day[place], days)
        lineage.note("unnamed_readings", tanks[place], next_day[place] + days + 1)
        next_day[place] += days + _DAYS_BETWEEN_GAPS


_SPECIALS: Final[dict[str, Callable[[LineagePlan, BatchPlan], None]]] = {
    "selection": _selection,
    "returning": _returning,
    "vaccination": _vaccination,
    "weights": _weights,
    "departure_day": _departure_day,
    "deaths_recorded_oddly": _deaths_recorded_oddly,
    "health_deaths": _health_deaths,
    "feed_container": _feed_container,
    "no_sensor": _no_sensor,
    "sensor_gaps": _sensor_gaps,
}


def join_batches(
    lineage: LineagePlan, records: Records, first: BatchPlan, second: BatchPlan
) -> BatchPlan:
    """Let the fish of two batches meet at sea, and return the MIXED batch of some of them.

    A fifth of a pen of `first` joins a pen of `second`; later some of another pen of `first`
    are put into an occupied pen of `second`, whose fish become a batch of their own with them.
    """
    donor, recipient = first.in_stage(ADULT)[0], second.in_stage(ADULT)[0]
    given, occupied = first.in_stage(ADULT)[2], second.in_stage(ADULT)[3]
    day = max(stay.first_day for stay in (donor, recipient, given, occupied)) + _MEETING_DAYS_AT_SEA
    lineage.moves.append(
        Move(
            "transfer",
            day,
            donor,
            recipient,
            share=0.2,
            is_measured=True,
            workflow="surplus",
            cases=("transfer_between_batches",),
        )
    )
    day += 30
    mixed = BatchPlan(
        index=-1,
        batch_id=records.ids.take("batch_batch"),
        batch_number=f"MIX-{first.batch_number}",
        batch_type="MIXED",
        site=second.site,
        start_day=day,
        features=frozenset({"no_scenario"}),
        tgc_factor=(first.tgc_factor + second.tgc_factor) / 2,
        mortality_factor=1.0,
        is_count_lowered=False,
    )
    lineage.batches.append(mixed)
    assignment_id = records.ids.take("batch_batchcontainerassignment")
    stay = lineage.add_stay(assignment_id, mixed, occupied.container, ADULT, day)
    _end_in(lineage, occupied, stay, day)
    lineage.moves.append(
        Move(
            "transfer",
            day,
            occupied,
            stay,
            workflow="mix",
            cases=("mixed_batch",),
        )
    )
    lineage.moves.append(
        Move("transfer", day, given, stay, share=0.3, workflow="mix", cases=("mixed_batch",))
    )
    return mixed


def _end_in(lineage: LineagePlan, occupied: Stay, stay: Stay, day: int) -> None:
    """Let the fish of a pen go on as those of another stay: its harvests are theirs now."""
    for move in lineage.moves:
        if move.source is occupied and move.day >= day and move.kind == "harvest":
            move.source = stay
    stay.last_harvest_day = occupied.last_harvest_day
    stay.batch.end_day = occupied.last_harvest_day
    occupied.last_harvest_day = None
    occupied.departure_day = day
