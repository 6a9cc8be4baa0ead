-- A batch's day is the sum of its assignments' day: counts to the fish, kilograms within their
-- rounding.
with daily_batch_states as (
    select * from {{ ref('daily_batch_states') }}
    {%- if first_kept_day() is not none %}
    where state_date >= {{ first_kept_day() }}
    {%- endif %}
),

daily_assignment_states as (
    select * from {{ ref('daily_assignment_states') }}
),

-- Deaths of a departure day are the batch's, but of no assignment's day.
departure_deaths as (
    select
        batch_id,
        departure_date as state_date,
        sum(departure_mortality_count) as mortality_count
    from {{ ref('population_reconciliation') }}
    where departure_mortality_count > 0
    group by batch_id, departure_date
),

summed as (
    select
        batch_id,
        state_date,
        count(*) as row_count,
        sum(population) as population,
        sum(biomass_kg) as biomass_kg,
        sum(mortality_count) as mortality_count,
        sum(feed_kg) as feed_kg,
        sum(gain_kg) as gain_kg,
        count(anchor_type) as anchor_count
    from daily_assignment_states
    group by batch_id, state_date
),

final as (
    select
        coalesce(daily_batch_states.batch_id, summed.batch_id) as batch_id,
        coalesce(daily_batch_states.state_date, summed.state_date) as state_date,
        daily_batch_states.population,
        summed.population as summed_population,
        daily_batch_states.biomass_kg,
        summed.biomass_kg as summed_biomass_kg
    from daily_batch_states
    full join summed
        on
            daily_batch_states.batch_id = summed.batch_id
            and daily_batch_states.state_date = summed.state_date
    left join departure_deaths
        on
            daily_batch_states.batch_id = departure_deaths.batch_id
            and daily_batch_states.state_date = departure_deaths.state_date
    where
        (
            daily_batch_states.population = summed.population
            and daily_batch_states.mortality_count
            = summed.mortality_count + coalesce(departure_deaths.mortality_count, 0)
            and daily_batch_states.anchor_count = summed.anchor_count
            and abs(daily_batch_states.biomass_kg - summed.biomass_kg)
            <= 0.005 * (summed.row_count + 1)
            and abs(daily_batch_states.gain_kg - summed.gain_kg)
            <= 0.00005 * (summed.row_count + 1)
            and (daily_batch_states.feed_kg is null) = (summed.feed_kg is null)
            and abs(coalesce(daily_batch_states.feed_kg - summed.feed_kg, 0))
            <= 0.00005 * (summed.row_count + 1)
        ) is not true
)

select * from final
