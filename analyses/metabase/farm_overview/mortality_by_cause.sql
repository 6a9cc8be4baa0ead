-- One row per month and cause: deaths of the batches.
select
    month_start_date as "Month",
    cause as "Cause",
    sum(mortality_count) as "Deaths",
    round(sum(mortality_biomass_kg), 0) as "Biomass (kg)"
from {{ ref('mortality_by_cause') }}
where
    assignment_id is null
    and batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('dates') }}
group by month_start_date, cause
order by month_start_date, cause
