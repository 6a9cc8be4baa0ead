"""Records of a day that change nothing, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from anchorline.explain.facts import Ref, Stay, Unused
from anchorline.explain.reader import Reader


def read_unused_records(reader: Reader, stay: Stay, day: date) -> list[Unused]:
    """Read records of the day that may not count: samples and transfers; reasons come later."""
    rows = reader.rows(
        """
        select
            'batch_growthsample' as table_name,
            growth_sample_id as record_id,
            coalesce(avg_weight_g || ' g', 'no weight') as what,
            null::text as reason
        from {staging}.stg_growth_samples
        where assignment_id = %(assignment_id)s and sample_date = %(day)s

        union all

        select
            'batch_transferaction' as table_name,
            transfer_action_id as record_id,
            case
                when source_assignment_id = %(assignment_id)s then 'transfer out of '
                else 'transfer in of '
            end
            || coalesce(transferred_count::text, 'an unknown number of') || ' fish'
            || case
                when mortality_during_transfer > 0
                    then ', ' || mortality_during_transfer || ' lost on the way'
                else ''
            end as what,
            case when transfer_status <> 'COMPLETED' then lower(transfer_status) end as reason
        from {staging}.stg_transfer_actions
        where
            actual_execution_date = %(day)s
            and (
                source_assignment_id = %(assignment_id)s or dest_assignment_id = %(assignment_id)s
            )

        union all

        select
            'inventory_feedingevent' as table_name,
            feeding_event_id as record_id,
            'feed of ' || coalesce(amount_kg::text, 'no') || ' kg' as what,
            null::text as reason
        from {staging}.stg_feeding_events
        where assignment_id = %(assignment_id)s and feeding_date = %(day)s

        union all

        select
            'health_treatment' as table_name,
            treatment_id as record_id,
            'weighing at a treatment' as what,
            null::text as reason
        from {staging}.stg_treatments
        where
            assignment_id = %(assignment_id)s
            and treatment_date = %(day)s
            and includes_weighing
        """,
        assignment_id=stay.assignment_id,
        day=day,
    )
    return [
        Unused(Ref.of(row["table_name"], row["record_id"]), row["what"], row["reason"] or "")
        for row in rows
    ]


def with_reasons(reader: Reader, candidates: Sequence[Unused]) -> tuple[Unused, ...]:
    """Keep the records that were rejected or set aside, each with the reason."""
    if not candidates:
        return ()
    listed = reader.rows(
        """
        select rejected.table_name, rejected.record_id, rejected.reason, rejected.value
        from {marts}.rejected_records as rejected
        where (rejected.table_name, rejected.record_id) in (
            select * from unnest(%(tables)s::text [], %(ids)s::bigint [])
        )
        order by rejected.table_name, rejected.record_id, rejected.reason
        """,
        tables=[entry.ref.table for entry in candidates],
        ids=[entry.ref.ids[0] for entry in candidates],
    )
    reasons: Mapping[tuple[str, int], str] = {
        (row["table_name"], row["record_id"]): row["reason"] for row in listed
    }
    kept: dict[str, Unused] = {}
    for entry in candidates:
        reason = reasons.get((entry.ref.table, entry.ref.ids[0])) or entry.reason
        if reason:
            kept[str(entry.ref)] = Unused(entry.ref, entry.what, reason)
    return tuple(kept.values())
