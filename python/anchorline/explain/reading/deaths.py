"""Recorded deaths, and the fish among which those of a batch are shared."""

from __future__ import annotations

from datetime import date

from anchorline.explain.facts import DeathRecord, Deaths, Ref, Stay, Unused
from anchorline.explain.reader import EVENT_TABLE, RECORD_TABLE, Reader, Row


def read_death_records(
    reader: Reader, stay: Stay, day: date
) -> tuple[tuple[DeathRecord, ...], list[Unused]]:
    """Read the day's records of deaths that concern the assignment, of both tables.

    Health records count only where no mortality event names the same assignment (or batch) and
    day.
    """
    rows = reader.rows(
        """
        select
            'batch_mortalityevent' as table_name,
            mortality_event_id as record_id,
            assignment_id,
            death_count,
            assignment_id is null as is_for_batch
        from {staging}.stg_mortality_events
        where
            event_date = %(day)s
            and (
                assignment_id = %(assignment_id)s
                or (assignment_id is null and batch_id = %(batch_id)s)
            )

        union all

        select
            'health_mortalityrecord' as table_name,
            mortality_record_id as record_id,
            assignment_id,
            death_count,
            assignment_id is null and container_id is null as is_for_batch
        from {staging}.stg_mortality_records
        where
            event_date = %(day)s
            and (
                assignment_id = %(assignment_id)s
                or (
                    assignment_id is null
                    and batch_id = %(batch_id)s
                    and coalesce(container_id, %(container_id)s) = %(container_id)s
                )
            )
        order by table_name, record_id
        """,
        day=day,
        assignment_id=stay.assignment_id,
        batch_id=stay.batch_id,
        container_id=stay.container_id,
    )
    records, unused = [], []
    for for_batch in (False, True):
        those = [row for row in rows if row["is_for_batch"] is for_batch]
        has_events = any(
            row["table_name"] == EVENT_TABLE and _is_count(row["death_count"]) for row in those
        )
        for row in those:
            ref = Ref.of(row["table_name"], row["record_id"])
            reason = None
            if not _is_count(row["death_count"]):
                reason = "no count" if row["death_count"] is None else "negative count"
            elif has_events and row["table_name"] == RECORD_TABLE:
                reason = "mortality events of the same day count instead"
            records.append(DeathRecord(ref, row["death_count"], for_batch, reason is None, reason))
            if reason is not None:
                unused.append(Unused(ref, f"{row['death_count']} deaths", reason))
    return tuple(records), unused


def _is_count(number: int | None) -> bool:
    return number is not None and number >= 0


def read_deaths(
    reader: Reader, stay: Stay, day: date, row: Row, records: tuple[DeathRecord, ...]
) -> Deaths:
    """Read the fish among which the day's deaths fall; `row` holds the inputs of the day."""
    present = reader.rows(
        """
        select
            assignment_id,
            is_in_transit,
            population + mortality_count - count_adjustment as present_count,
            population + mortality_count - count_adjustment + departed_count as start_count
        from {intermediate}.int_growth_states
        where batch_id = %(batch_id)s and state_date = %(day)s
        order by assignment_id
        """,
        batch_id=stay.batch_id,
        day=day,
    )
    return Deaths(
        mortality_source=row["mortality_source"],
        mortality_count=row["mortality_count"],
        recorded_deaths=row["recorded_deaths"],
        batch_deaths=row["batch_deaths"],
        is_record_rejected=row["is_death_record_rejected"],
        present_counts=tuple(
            (entry["assignment_id"], max(entry["present_count"], 0))
            for entry in present
            if not entry["is_in_transit"]
        ),
        batch_start_count=sum(entry["start_count"] for entry in present),
        records=records,
    )
