-- A batch's smoothed day holds its assignments' fish and biomass.
with daily_batch_smoothed as (
    select * from {{ ref('daily_batch_smoothed') }}
),

summed as (
    select
        batch_id,
        state_date,
        sum(population) as population,
        sum(smoothed_biomass_kg) as biomass_kg
    from {{ ref('daily_assignment_smoothed') }}
    group by batch_id, state_date
),

final as (
    select
        coalesce(batches.batch_id, summed.batch_id) as batch_id,
        coalesce(batches.state_date, summed.state_date) as state_date,
        batches.population,
        summed.population as summed_population,
        batches.smoothed_biomass_kg,
        summed.biomass_kg as summed_biomass_kg
    from daily_batch_smoothed as batches
    full join summed
        on batches.batch_id = summed.batch_id and batches.state_date = summed.state_date
    where
        (
            batches.population = summed.population
            and batches.smoothed_biomass_kg = summed.biomass_kg
        ) is not true
)

select * from final
