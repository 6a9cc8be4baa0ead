"""The chain of containers of one batch, from trays to pens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from anchorline.demo.biology import (
    ADULT,
    EGG,
    FRY,
    HARVEST_DAYS,
    HARVEST_START_DAY,
    LIFE_DAYS,
    PARR,
    POST_SMOLT,
    SMOLT,
    STAGE_DAYS,
)
from anchorline.demo.plan import BatchPlan, LineagePlan, Move, Stay, to_date
from anchorline.demo.registry import Records
from anchorline.demo.sites import SITES, VESSEL, ContainerPool

_FEWEST_TANKS: Final = 10
_MOST_TANKS: Final = 13
_PARTIAL_HARVEST_DAYS_BEFORE: Final = 35


@dataclass(frozen=True)
class Group:
    """Containers that are emptied together into the same new ones."""

    sources: tuple[int, ...]
    dest_count: int = 1
    lag_days: int = 0
    via_vessel: bool = False
    record: str = "full"
    is_measured: bool = False
    cases: tuple[str, ...] = ()


def plan_batch(
    lineage: LineagePlan,
    records: Records,
    pool: ContainerPool,
    rng: np.random.Generator,
    *,
    index: int,
    start_day: int,
    features: frozenset[str],
) -> BatchPlan:
    """Add a batch with all stays that begin by the day of the load, and their movements."""
    site = SITES[index % len(SITES)]
    year = to_date(start_day).year
    batch = BatchPlan(
        index=index,
        batch_id=records.ids.take("batch_batch"),
        batch_number=f"{site.code}-{year}-{index + 1:03d}",
        batch_type="STANDARD",
        site=site,
        start_day=start_day,
        features=features,
        tgc_factor=site.tgc_factor * float(rng.normal(1.0, 0.05)),
        mortality_factor=float(rng.uniform(0.7, 1.4)),
        is_count_lowered=index % 2 == 1 and "transfer_missing" not in features,
    )
    lineage.batches.append(batch)
    tank_count = int(rng.integers(_FEWEST_TANKS, _MOST_TANKS, endpoint=True))
    _stock(lineage, records, pool, rng, batch, tank_count)
    for stage in range(EGG, POST_SMOLT + 1):
        day = start_day + (stage + 1) * STAGE_DAYS + int(rng.integers(-4, 5))
        _move_on(lineage, records, pool, rng, batch, stage, day)
    _harvest(lineage, rng, batch)
    return batch


def new_stay(
    lineage: LineagePlan,
    records: Records,
    pool: ContainerPool,
    batch: BatchPlan,
    stage: int,
    first_day: int,
    *,
    is_vessel: bool = False,
) -> Stay:
    """Add a stay of a batch in a container that is free for as long as it may last."""
    days = 0 if is_vessel else LIFE_DAYS if stage == ADULT else STAGE_DAYS + 20
    last_day = min(first_day + days, batch.start_day + LIFE_DAYS + 30)
    container = pool.take(batch.site, VESSEL if is_vessel else stage, first_day, last_day)
    assignment_id = records.ids.take("batch_batchcontainerassignment")
    return lineage.add_stay(assignment_id, batch, container, stage, first_day, is_vessel=is_vessel)


def _stock(
    lineage: LineagePlan,
    records: Records,
    pool: ContainerPool,
    rng: np.random.Generator,
    batch: BatchPlan,
    tank_count: int,
) -> None:
    eggs_per_tray = int(rng.integers(60, 220)) * 1000
    for tray in range(tank_count):
        delivered = round(eggs_per_tray * float(rng.normal(1.0, 0.02)))
        day = batch.start_day
        deliveries = [(day, delivered)]
        cases: tuple[str, ...] = ()
        if "two_stockings" in batch.features and tray < 4:
            deliveries = [(day, delivered * 6 // 10), (day + 5, delivered - delivered * 6 // 10)]
            cases = ("two_stockings",)
        elif "two_stockings" in batch.features and tray == tank_count - 1:
            deliveries = [(day + 7, delivered)]
            cases = ("two_stockings",)
        is_short = "over_transfer" in batch.features and tray == tank_count - 2
        stay = new_stay(lineage, records, pool, batch, EGG, deliveries[0][0])
        for day_delivered, count in deliveries:
            if day_delivered >= lineage.horizon_day:
                continue
            lineage.moves.append(
                Move(
                    "stocking",
                    day_delivered,
                    dest=stay,
                    count=count,
                    recorded_count=round(count * 0.985) if is_short else count,
                    cases=cases,
                )
            )


def _groups(batch: BatchPlan, stage: int, count: int, rng: np.random.Generator) -> list[Group]:
    """Return how the containers of a stage are emptied into those of the next one."""
    features = batch.features
    groups = [
        Group(
            (source,),
            dest_count=2 if stage == POST_SMOLT else 1,
            is_measured=stage >= PARR and bool(rng.random() < 0.15),
            cases=("transfer_split",) if stage == POST_SMOLT else ("transfer_whole",),
        )
        for source in range(count)
    ]
    if stage == EGG and "over_transfer" in features:
        groups[-2] = replace(groups[-2], cases=("over_transfer",))
    if stage == FRY and "late" in features:
        groups[5] = replace(groups[5], lag_days=1, cases=("transfer_late",))
    if stage == FRY and "merge" in features:
        groups[0:2] = [Group((0, 1), cases=("transfer_merge",))]
    if stage == PARR and "split" in features:
        groups[0] = Group((0,), dest_count=2, cases=("transfer_split",))
    if stage == PARR and "transfer_missing" in features:
        for place in (-2, -1):
            groups[place] = replace(
                groups[place], record="none", is_measured=False, cases=("transfer_missing",)
            )
    if stage == POST_SMOLT and "missing_as_mortality" in features:
        groups = [
            replace(
                group,
                record="absorbing",
                is_measured=False,
                cases=("transfer_missing_as_mortality",),
            )
            for group in groups
        ]
    if stage == POST_SMOLT and "one_day_chain" in features:
        groups[0] = Group((0,), dest_count=2, via_vessel=True, cases=("one_day_chain",))
    return groups


def _move_on(
    lineage: LineagePlan,
    records: Records,
    pool: ContainerPool,
    rng: np.random.Generator,
    batch: BatchPlan,
    stage: int,
    day: int,
) -> None:
    tanks = batch.in_stage(stage)
    for group in _groups(batch, stage, len(tanks), rng):
        if day + group.lag_days >= lineage.horizon_day:
            continue
        sources = [tanks[source] for source in group.sources]
        workflow = f"stage {stage}"
        if group.via_vessel:
            vessel = new_stay(lineage, records, pool, batch, stage, day, is_vessel=True)
            for source in sources:
                source.departure_day = day
                lineage.moves.append(
                    Move("transfer", day, source, vessel, workflow=workflow, cases=group.cases)
                )
            sources = [vessel]
        dests = [
            new_stay(lineage, records, pool, batch, stage + 1, day + group.lag_days)
            for _ in range(group.dest_count)
        ]
        for source in sources:
            source.departure_day = day
            if "departure_day" in batch.features and stage == SMOLT and source is tanks[-1]:
                lineage.moves.append(Move("deaths", day, source, cases=("departure_day_deaths",)))
            for place, dest in enumerate(dests):
                is_last = place == len(dests) - 1
                record = group.record
                if record == "absorbing" and is_last:
                    record = "none"
                lineage.moves.append(
                    Move(
                        "transfer",
                        day,
                        source,
                        dest,
                        share=None if is_last else 1.0 / (len(dests) - place),
                        lag_days=group.lag_days,
                        is_measured=group.is_measured,
                        record=record,
                        workflow=workflow,
                        cases=group.cases,
                    )
                )


def _harvest(lineage: LineagePlan, rng: np.random.Generator, batch: BatchPlan) -> None:
    pens = batch.in_stage(ADULT)
    for number, pen in enumerate(pens):
        last_day = (
            batch.start_day
            + HARVEST_START_DAY
            + number * HARVEST_DAYS // len(pens)
            + int(rng.integers(0, 3))
        )
        if "partial_harvest" in batch.features and number % 4 == 0:
            day = last_day - _PARTIAL_HARVEST_DAYS_BEFORE
            if day < lineage.horizon_day:
                lineage.moves.append(
                    Move("harvest", day, pen, share=0.35, cases=("partial_harvest",))
                )
        if last_day < lineage.horizon_day:
            pen.last_harvest_day = last_day
            lineage.moves.append(Move("harvest", last_day, pen, cases=("full_harvest",)))
    if pens and all(pen.last_harvest_day is not None for pen in pens):
        batch.end_day = max(pen.last_harvest_day or 0 for pen in pens)
