-- One row per day or week: the lowest confidence in a weight among the batch's containers.
with days as (
    select
        state_date,
        weight_confidence,
        temp_confidence,
        mortality_confidence,
        {{ chosen_period('state_date') }} as period_start_date
    from {{ ref('daily_assignment_states') }}
    where
        batch_id = ({{ chosen_batch() }})
        and container_id in ({{ chosen_containers() }})
        {{ metabase_filter('dates') }}
)

select
    period_start_date as "Date",
    min(weight_confidence) as "Weight",
    min(temp_confidence) as "Temperature",
    min(mortality_confidence) as "Deaths"
from days
group by period_start_date
order by period_start_date
