"""Fish that come and go, and where their weights come from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from anchorline.explain.facts import Movement, Ref, Stay
from anchorline.explain.reader import (
    ANCHOR_NAMES,
    ANCHOR_TABLES,
    ASSIGNMENT_TABLE,
    START_WEIGHT_FROM,
    Reader,
    Row,
)


def read_movements(
    reader: Reader, stay: Stay, day: date, *, by_departure: bool
) -> tuple[Movement, ...]:
    """Read the movements whose fish arrive on a day, or (`by_departure`) leave on it."""
    rows = reader.rows(
        """
        select
            movements.*,
            others.assignment_id as other_assignment_id,
            others.container_id as other_container_id,
            containers.container_name as other_container,
            batches.batch_number as other_batch,
            source_states.weight_g as source_weight_g,
            source_states.state_date as source_date
        from (
            select *, 'in' as direction from {intermediate}.int_movements
            where to_assignment_id = %(assignment_id)s
            union all
            select *, 'out' as direction from {intermediate}.int_movements
            where from_assignment_id = %(assignment_id)s
        ) as movements
        left join {intermediate}.int_assignments as others
            on
                case
                    when movements.direction = 'in' then movements.from_assignment_id
                    else movements.to_assignment_id
                end = others.assignment_id
        left join {marts}.containers as containers
            on others.container_id = containers.container_id
        left join {marts}.batches as batches on others.batch_id = batches.batch_id
        left join {intermediate}.int_growth_states as source_states
            on
                movements.from_assignment_id = source_states.assignment_id
                and movements.arrived_date - 1 = source_states.state_date
        where case
            when %(by_departure)s then movements.departed_date
            else movements.arrived_date
        end = %(day)s
        order by movements.direction, movements.movement_key
        """,
        assignment_id=stay.assignment_id,
        day=day,
        by_departure=by_departure,
    )
    weighed = Weighings(reader, [row["movement_key"] for row in rows])
    movements = []
    for row in rows:
        weight_from, weight_refs = weighed.source_of(row["movement_key"])
        weight_g = row["weight_g"]
        if weight_g is None:
            weight_g = row["source_weight_g"]
            whose = "its source's" if row["direction"] == "in" else "this container's"
            weight_from = f"{whose} last state, of {row['source_date']}"
            weight_refs = (Ref.of(ASSIGNMENT_TABLE, row["from_assignment_id"]),)
        count_from = None
        if row["movement_type"] == "stocking" and row["raw_table"] == ASSIGNMENT_TABLE:
            count_from = _rebuilt_from(reader, row["record_id"])
        elif row["movement_type"] == "inferred":
            count_from = "a share of the new stay's rebuilt number, by what was left"
        else:
            count_from = weighed.delivery_of(row["movement_key"])
        if row["direction"] == "out":
            weight_from = weight_from.replace("the source's", "this container's")
        movements.append(
            Movement(
                direction=row["direction"],
                movement_type=row["movement_type"],
                fish_count=row["fish_count"],
                weight_g=weight_g,
                weight_from=weight_from,
                other_container=row["other_container"]
                or (
                    f"container {row['other_container_id']}" if row["other_container_id"] else None
                ),
                other_batch=row["other_batch"],
                other_assignment_id=row["other_assignment_id"],
                departed_date=row["departed_date"],
                arrived_date=row["arrived_date"],
                is_inferred=row["is_inferred"],
                refs=weighed.records_of(row["movement_key"]),
                weight_refs=weight_refs,
                count_from=count_from,
            )
        )
    return tuple(movements)


class Weighings:
    """Where the weights of movements come from: the legs that they were composed of."""

    def __init__(self, reader: Reader, movement_keys: Sequence[str]) -> None:
        keys = sorted({leg for key in movement_keys for leg in key.split("<")})
        self._legs: dict[str, Row] = {}
        if not keys:
            return
        for row in reader.rows(
            """
            select
                legs.*,
                transfers.measured_avg_weight_g,
                transfers.measured_sample_size,
                exclusions.anchor_exclusion_id,
                stocking.start_weight_source,
                deliveries.egg_count_actual,
                deliveries.mortality_on_arrival,
                used.day_anchor_type,
                used.record_ids
            from {intermediate}.int_movement_legs as legs
            left join {staging}.stg_transfer_actions as transfers
                on
                    legs.raw_table = 'batch_transferaction'
                    and legs.record_id = transfers.transfer_action_id
            left join {staging}.stg_anchor_exclusions as exclusions
                on
                    legs.raw_table = 'batch_transferaction'
                    and exclusions.anchor_type = 'transfer'
                    and legs.record_id = exclusions.record_id
            left join {staging}.stg_creation_actions as deliveries
                on
                    legs.raw_table = 'batch_creationaction'
                    and legs.record_id = deliveries.creation_action_id
            left join {intermediate}.int_stocking as stocking
                on
                    legs.movement_type = 'stocking'
                    and legs.to_assignment_id = stocking.assignment_id
            left join lateral (
                select
                    max(anchors.day_anchor_type) as day_anchor_type,
                    array_agg(anchors.record_id order by anchors.record_id) as record_ids
                from {marts}.weight_anchors as anchors
                where
                    anchors.assignment_id = legs.from_assignment_id
                    and anchors.anchor_date = legs.departed_date
                    and anchors.is_used
            ) as used on true
            where legs.leg_key = any(%(keys)s)
            """,
            keys=keys,
        ):
            self._legs[row["leg_key"]] = row

    def records_of(self, movement_key: str) -> tuple[Ref, ...]:
        """Refer to the raw rows of all legs, the last one first."""
        legs = [self._legs[key] for key in movement_key.split("<") if key in self._legs]
        return tuple(Ref.of(leg["raw_table"], leg["record_id"]) for leg in legs)

    def delivery_of(self, movement_key: str) -> str | None:
        """Say what was delivered and what arrived dead, where the fish were stocked."""
        leg = self._legs.get(movement_key)
        if leg is None or leg["egg_count_actual"] is None:
            return None
        dead = leg["mortality_on_arrival"] or 0
        return f"{leg['egg_count_actual']:,} delivered, {dead:,} of them dead on arrival"

    def source_of(self, movement_key: str) -> tuple[str, tuple[Ref, ...]]:
        """Say which leg's weight the fish have: the first on the way back that has one."""
        for key in movement_key.split("<"):
            leg = self._legs.get(key)
            if leg is None:
                return "the start weight of the assignment they passed through", ()
            if leg["weight_g"] is None:
                continue
            ref = Ref.of(leg["raw_table"], leg["record_id"])
            if leg["movement_type"] == "stocking":
                start = START_WEIGHT_FROM[leg["start_weight_source"]]
                return start, (Ref.of(ASSIGNMENT_TABLE, leg["to_assignment_id"]),)
            if (
                leg["movement_type"] == "transfer"
                and leg["anchor_exclusion_id"] is None
                and leg["measured_avg_weight_g"] == leg["weight_g"]
            ):
                sample = leg["measured_sample_size"]
                fish = f" ({sample:,} fish)" if sample else ""
                return f"weighed in the transfer{fish}", (ref,)
            name = ANCHOR_NAMES.get(leg["day_anchor_type"], "anchor")
            return f"the source's anchor of {leg['departed_date']} ({name})", tuple(
                Ref.of(ANCHOR_TABLES[leg["day_anchor_type"]], number)
                for number in leg["record_ids"] or ()
            )
        return "", ()


def _rebuilt_from(reader: Reader, assignment_id: int) -> str | None:
    row = reader.row(
        """
        select
            stocking.rebuilt_from,
            stocking.rebuilt_count,
            first_transfer.transfer_action_id,
            first_transfer.source_population_before,
            harvests.harvested_count,
            harvests.first_lot_id,
            assignments.population_count
        from {intermediate}.int_stocking as stocking
        inner join {intermediate}.int_assignments as assignments
            on stocking.assignment_id = assignments.assignment_id
        left join lateral (
            select transfers.transfer_action_id, transfers.source_population_before
            from {intermediate}.int_transfer_actions_checked as transfers
            where
                transfers.source_assignment_id = stocking.assignment_id
                and transfers.reject_reason is null
            order by transfers.departed_date, transfers.transfer_action_id
            limit 1
        ) as first_transfer on true
        left join lateral (
            select sum(lots.fish_count) as harvested_count, min(lots.harvest_lot_id) as first_lot_id
            from {intermediate}.int_harvest_lots_checked as lots
            where lots.assignment_id = stocking.assignment_id and lots.reject_reason is null
        ) as harvests on true
        where stocking.assignment_id = %(assignment_id)s
        """,
        assignment_id=assignment_id,
    )
    if row is None:
        return None
    rest = f", with the deaths and arrivals up to then: {row['rebuilt_count']:,}"
    if row["rebuilt_from"] == "transfer_out":
        return (
            f"rebuilt from {row['source_population_before']:,} fish before the first transfer out "
            f"(batch_transferaction#{row['transfer_action_id']})" + rest
        )
    if row["rebuilt_from"] == "harvest":
        return (
            f"rebuilt from {row['harvested_count']:,} harvested fish "
            f"(harvest_harvestlot#{row['first_lot_id']} and on)" + rest
        )
    count = row["population_count"]
    known = "no number" if count is None else f"{count:,} fish"
    return (
        f"rebuilt from {known} that the assignment holds now "
        f"({ASSIGNMENT_TABLE}#{assignment_id})" + rest
    )


def read_passing_legs(reader: Reader, stay: Stay, day: date) -> tuple[Movement, ...]:
    """Read what came and went on one day: the legs, before chains were composed."""
    rows = reader.rows(
        """
        select
            legs.*,
            legs.to_assignment_id = %(assignment_id)s as is_in,
            others.assignment_id as other_assignment_id,
            containers.container_name as other_container,
            batches.batch_number as other_batch
        from {intermediate}.int_movement_legs as legs
        left join {intermediate}.int_assignments as others
            on
                case
                    when legs.to_assignment_id = %(assignment_id)s then legs.from_assignment_id
                    else legs.to_assignment_id
                end = others.assignment_id
        left join {marts}.containers as containers
            on others.container_id = containers.container_id
        left join {marts}.batches as batches on others.batch_id = batches.batch_id
        where
            (legs.to_assignment_id = %(assignment_id)s and legs.arrived_date = %(day)s)
            or (legs.from_assignment_id = %(assignment_id)s and legs.departed_date = %(day)s)
        order by is_in desc, legs.leg_key
        """,
        assignment_id=stay.assignment_id,
        day=day,
    )
    weighed = Weighings(reader, [row["leg_key"] for row in rows])
    movements = []
    for row in rows:
        weight_from, weight_refs = weighed.source_of(row["leg_key"])
        movements.append(
            Movement(
                direction="in" if row["is_in"] else "out",
                movement_type=row["movement_type"],
                fish_count=row["fish_count"],
                weight_g=row["weight_g"],
                weight_from=weight_from or "not weighed on this leg",
                other_container=row["other_container"],
                other_batch=row["other_batch"],
                other_assignment_id=row["other_assignment_id"],
                departed_date=row["departed_date"],
                arrived_date=row["arrived_date"],
                is_inferred=row["is_inferred"],
                refs=(Ref.of(row["raw_table"], row["record_id"]),),
                weight_refs=weight_refs,
            )
        )
    return tuple(movements)
