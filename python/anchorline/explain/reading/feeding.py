"""Feeding events, and who shares the feed of a container."""

from __future__ import annotations

from datetime import date

from anchorline.explain.facts import Feed, FeedRecord, Ref, Stay
from anchorline.explain.reader import Reader, Row, as_float


def read_feed(reader: Reader, stay: Stay, day: date, row: Row) -> Feed:
    """Read the day's feeding events that name the assignment or its container."""
    records = reader.rows(
        """
        select
            feeding_event_id,
            amount_kg::double precision as amount_kg,
            case
                when assignment_id is not null then 'assignment'
                when batch_id is not null then 'batch and container'
                else 'container'
            end as names
        from {staging}.stg_feeding_events
        where
            feeding_date = %(day)s
            and (
                assignment_id = %(assignment_id)s
                or (
                    assignment_id is null
                    and container_id = %(container_id)s
                    and (batch_id = %(batch_id)s or batch_id is null)
                )
            )
        order by feeding_event_id
        """,
        day=day,
        assignment_id=stay.assignment_id,
        container_id=stay.container_id,
        batch_id=stay.batch_id,
    )
    share: float | None = None
    sharing: tuple[tuple[int, float], ...] = ()
    if row["container_feed_kg"] is not None:
        share, sharing = _feed_shares(reader, stay, day)
    return Feed(
        feed_kg=as_float(row["feed_kg"]),
        feed_source=row["feed_source"],
        own_kg=as_float(row["own_feed_kg"]),
        container_kg=as_float(row["container_feed_kg"]),
        share_kg=share,
        sharing=sharing,
        records=tuple(
            FeedRecord(
                ref=Ref.of("inventory_feedingevent", record["feeding_event_id"]),
                amount_kg=record["amount_kg"],
                names=record["names"],
                is_used=record["amount_kg"] is not None and record["amount_kg"] >= 0,
            )
            for record in records
        ),
    )


def _feed_shares(
    reader: Reader, stay: Stay, day: date
) -> tuple[float | None, tuple[tuple[int, float], ...]]:
    """Read the assignments that share the container's feed, by the biomass the day began with."""
    rows = reader.rows(
        """
        select
            assignments.assignment_id,
            coalesce(
                nullif(yesterday.population * yesterday.weight_g / 1000, 0),
                today.arrived_biomass_kg,
                0
            ) as biomass_kg,
            shares.shared_feed_kg::double precision as shared_feed_kg
        from {intermediate}.int_assignments as assignments
        inner join {intermediate}.int_growth_states as today
            on assignments.assignment_id = today.assignment_id and today.state_date = %(day)s
        left join {intermediate}.int_growth_states as yesterday
            on
                assignments.assignment_id = yesterday.assignment_id
                and yesterday.state_date = %(day)s - 1
                and not yesterday.is_in_transit
        left join {intermediate}.int_container_feed_shares as shares
            on assignments.assignment_id = shares.assignment_id and shares.state_date = %(day)s
        where assignments.container_id = %(container_id)s and not today.is_in_transit
        order by assignments.assignment_id
        """,
        day=day,
        container_id=stay.container_id,
    )
    share = next(
        (row["shared_feed_kg"] for row in rows if row["assignment_id"] == stay.assignment_id), None
    )
    return share, tuple((row["assignment_id"], row["biomass_kg"]) for row in rows)
