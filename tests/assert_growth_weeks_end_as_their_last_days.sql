-- A row of the weekly growth analysis is that of its last day: weight, number and biomass. Of
-- forecasts see assert_forecasts_of_batches_combine_their_containers.
with weeks as (
    select * from {{ ref('growth_analysis_weekly') }}
    where container_id is null and series <> 'forecast'
),

days as (
    select * from {{ ref('growth_analysis') }}
    where container_id is null and series <> 'forecast'
),

final as (
    select weeks.*
    from weeks
    left join days
        on
            weeks.batch_id = days.batch_id
            and weeks.last_state_date = days.state_date
            and weeks.series = days.series
            and weeks.scenario_id is not distinct from days.scenario_id
            and weeks.sample_type is not distinct from days.sample_type
    where
        days.batch_id is null
        or weeks.avg_weight_g is distinct from days.avg_weight_g
        or weeks.population is distinct from days.population
        or weeks.biomass_kg is distinct from days.biomass_kg
        or weeks.is_provisional <> days.is_provisional
)

select * from final
