-- One row per month and batch: feed over growth.
select
    period_start_date as "Month",
    batch_number as "Batch",
    economic_fcr as "Economic FCR"
from {{ ref('production_figures') }}
where
    period_type = 'month'
    and assignment_id is null
    and economic_fcr is not null
    and batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('dates') }}
order by period_start_date, batch_number
