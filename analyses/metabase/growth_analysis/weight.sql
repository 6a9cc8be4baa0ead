-- One row per day or week: mean weight of the batch, or of a container, by every series.
with days as (
    select
        series,
        state_date,
        avg_weight_g,
        weight_low_g,
        weight_high_g,
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
    {{ last_of('avg_weight_g', 'sample') }} as "Sample (g)",
    {{ last_of('avg_weight_g', 'scenario') }} as "Plan (g)",
    {{ last_of('avg_weight_g', 'actual') }} as "Actual (g)",
    {{ last_of('avg_weight_g', 'smoothed') }} as "In hindsight (g)",
    {{ last_of('weight_low_g', 'smoothed') }} as "In hindsight, low (g)",
    {{ last_of('weight_high_g', 'smoothed') }} as "In hindsight, high (g)",
    {{ last_of('avg_weight_g', 'forecast') }} as "Forecast (g)",
    {{ last_of('weight_low_g', 'forecast') }} as "Forecast, low (g)",
    {{ last_of('weight_high_g', 'forecast') }} as "Forecast, high (g)"
from days
group by period_start_date
order by period_start_date
