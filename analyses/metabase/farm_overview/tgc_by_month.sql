-- One row per month and batch: thermal growth coefficient.
select
    period_start_date as "Month",
    batch_number as "Batch",
    tgc as "TGC"
from {{ ref('production_figures') }}
where
    period_type = 'month'
    and assignment_id is null
    and tgc is not null
    and batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('dates') }}
order by period_start_date, batch_number
