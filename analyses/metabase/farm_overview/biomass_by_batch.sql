-- One row per ISO week and batch: its biomass at the end of the week.
select
    week_start_date as "Week",
    batch_number as "Batch",
    round(biomass_kg / 1000, 2) as "Biomass (t)"
from {{ ref('weekly_batch_states') }}
where
    batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('dates') }}
order by week_start_date, batch_number
