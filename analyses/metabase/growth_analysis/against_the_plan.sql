-- One row: the newest day of the batch, or of a container, against its plan, and the days before.
with days as (
    select
        state_date,
        lifecycle_stage_name,
        actual_weight_g,
        scenario_weight_g,
        weight_variance_percent,
        biomass_variance_percent,
        days_ahead
    from {{ ref('growth_variance') }}
    where
        batch_id = ({{ chosen_batch() }})
        and container_id is not distinct from ({{ chosen_container() }})
        {{ metabase_filter('dates') }}
),

newest_day as (
    select *
    from days
    order by state_date desc
    limit 1
),

over_time as (
    select
        avg(weight_variance_percent) as mean_percent,
        (array_agg(weight_variance_percent order by abs(weight_variance_percent) desc))[1]
            as largest_percent,
        (array_agg(state_date order by abs(weight_variance_percent) desc))[1] as largest_date
    from days
    where weight_variance_percent is not null
)

select
    newest_day.state_date as "Day",
    newest_day.lifecycle_stage_name as "Stage",
    newest_day.actual_weight_g as "Weight (g)",
    newest_day.scenario_weight_g as "Plan (g)",
    newest_day.weight_variance_percent as "Weight against plan (%)",
    newest_day.biomass_variance_percent as "Biomass against plan (%)",
    newest_day.days_ahead as "Days ahead of plan",
    round(over_time.mean_percent, 2) as "Mean variance of weight (%)",
    over_time.largest_percent as "Largest variance of weight (%)",
    over_time.largest_date as "Largest on"
from newest_day
cross join over_time
