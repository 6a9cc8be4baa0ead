-- One row per day or week: how far the batch, or a container, is from its plan.
with days as (
    select
        state_date,
        weight_variance_percent,
        population_variance_percent,
        biomass_variance_percent,
        {{ chosen_period('state_date') }} as period_start_date
    from {{ ref('growth_variance') }}
    where
        batch_id = ({{ chosen_batch() }})
        and container_id is not distinct from ({{ chosen_container() }})
        and scenario_weight_g is not null
        {{ metabase_filter('dates') }}
)

select distinct on (period_start_date)
    period_start_date as "Date",
    weight_variance_percent as "Weight (%)",
    population_variance_percent as "Number (%)",
    biomass_variance_percent as "Biomass (%)"
from days
order by period_start_date asc, state_date desc
