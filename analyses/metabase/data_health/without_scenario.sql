-- One row per batch that is grown with the baseline, because it has no plan.
select
    batch_number as "Batch",
    batch_status as "Status",
    batch_type as "Type",
    first_state_date as "States from",
    last_state_date as "States until"
from {{ ref('batches_without_scenario') }}
where batch_id in ({{ chosen_batches() }})
order by batch_number
