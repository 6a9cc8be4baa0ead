-- One row per day or week: biomass of the batch, or of a container.
with days as (
    select
        series,
        state_date,
        biomass_kg / 1000 as biomass_tonnes,
        {{ chosen_period('state_date') }} as period_start_date
    from {{ ref('growth_analysis') }}
    where
        batch_id = ({{ chosen_batch() }})
        and container_id is not distinct from ({{ chosen_container() }})
        and (series != 'scenario' or scenario_id = ({{ chosen_batch('scenario_id') }}))
        {{ metabase_filter('dates') }}
)

select
    period_start_date as "Date",
    {{ last_of('biomass_tonnes', 'scenario') }} as "Plan (t)",
    {{ last_of('biomass_tonnes', 'actual') }} as "Actual (t)",
    {{ last_of('biomass_tonnes', 'forecast') }} as "Forecast (t)"
from days
where series in ('scenario', 'actual', 'forecast')
group by period_start_date
order by period_start_date
