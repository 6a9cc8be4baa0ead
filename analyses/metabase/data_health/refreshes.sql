-- One row per refresh, the newest 200.
select
    started_at as "Started",
    duration_seconds as "Seconds",
    mode as "Mode",
    outcome as "Outcome",
    batch_numbers as "Batches",
    row_count as "Rows",
    from_date as "From day",
    reason as "Why",
    error as "Error"
from {{ ref('refresh_log') }}
order by started_at desc
limit 200
