-- One row per batch: do the states follow the records, and when were the fish weighed?
select
    batch_number as "Batch",
    newest_state_date as "States until",
    expected_state_date as "Should be until",
    lag_days as "Days behind",
    is_stale as "Behind",
    stale_reason as "Why",
    newest_event_date as "Newest record",
    newest_event_kind as "Kind of record",
    pending_event_count as "Changes waiting",
    failed_attempt_count as "Failed attempts",
    last_error as "Last error",
    days_since_oldest_anchor as "Days since the oldest weighing",
    never_weighed_count as "Containers never weighed"
from {{ ref('state_freshness') }}
where batch_id in ({{ chosen_batches() }})
order by is_stale desc, lag_days desc nulls last, batch_number asc
