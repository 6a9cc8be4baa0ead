-- One row per batch and day with a state: sums and means over its containers, unrounded.
{{ config(
    meta={'published_by': 'batch_days', 'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id', 'state_date'], 'unique': true},
    ],
) }}

with daily_measures as (
    select * from {{ pending('int_daily_measures', 'batches', day='state_date') }}
),

movements as (
    select * from {{ pending('int_batch_day_movements', 'batches', day='state_date') }}
),

-- Sums in numeric: they do not depend on the order of the rows.
weighed as (
    select
        *,
        (population * weight_g)::numeric as biomass_g,
        (population * weight_g * weight_g)::numeric as squared_weight_sum,
        (start_count * mixed_weight_g)::numeric as start_biomass_g,
        case when temp_c is not null then population end as population_with_temp,
        (population * temp_c)::numeric as temp_sum
    from daily_measures
),

summed as (
    select
        batch_id,
        state_date,
        min(day_number) as day_number,
        (array_agg(lifecycle_stage_id order by population desc, assignment_id asc))[1]
            as lifecycle_stage_id,
        count(*) filter (where population > 0) as container_count,
        sum(population)::bigint as population,
        sum(biomass_g) as biomass_g,
        sum(squared_weight_sum) as squared_weight_sum,
        min(weight_g) filter (where population > 0) as smallest_container_weight_g,
        max(weight_g) filter (where population > 0) as largest_container_weight_g,
        sum(start_count)::bigint as start_count,
        sum(start_biomass_g) as start_biomass_g,
        sum(population_with_temp) as population_with_temp,
        sum(temp_sum) as temp_sum,
        sum(mortality_count)::bigint as mortality_count,
        sum(feed_kg) as feed_kg,
        sum(gain_kg::numeric) as gain_kg,
        sum(count_adjustment)::bigint as count_adjustment,
        count(anchor_type) as anchor_count,
        min(weight_confidence) filter (where population > 0) as lowest_weight_confidence
    from weighed
    group by batch_id, state_date
),

with_movements as (
    select
        summed.*,
        movements.arrived_count,
        movements.departed_count,
        movements.departure_mortality_count,
        movements.departure_count_adjustment
    from summed
    left join movements
        on
            summed.batch_id = movements.batch_id
            and summed.state_date = movements.state_date
),

averaged as (
    select
        *,
        (biomass_g / 1000)::double precision as biomass_kg,
        (biomass_g / nullif(population, 0))::double precision as avg_weight_g,
        (start_biomass_g / nullif(start_count, 0))::double precision as start_weight_g,
        (temp_sum / nullif(population_with_temp, 0))::double precision as temp_c,
        -- (a product: the digits of a power differ between versions of PostgreSQL)
        squared_weight_sum / nullif(population, 0)
        - (biomass_g / nullif(population, 0)) * (biomass_g / nullif(population, 0))
            as weight_variance
    from with_movements
),

final as (
    select
        batch_id,
        state_date,
        day_number,
        lifecycle_stage_id,
        container_count,
        population,
        avg_weight_g,
        biomass_kg,
        smallest_container_weight_g,
        largest_container_weight_g,
        case
            when container_count > 1
                then 100 * sqrt(greatest(weight_variance, 0)::double precision) / avg_weight_g
        end as container_cv_percent,
        start_weight_g,
        temp_c,
        mortality_count + coalesce(departure_mortality_count, 0) as mortality_count,
        feed_kg,
        gain_kg,
        ({{ observed_fcr('feed_kg', 'gain_kg') }})::double precision as observed_fcr,
        coalesce(arrived_count, 0) as arrived_count,
        coalesce(departed_count, 0) as departed_count,
        count_adjustment + coalesce(departure_count_adjustment, 0) as count_adjustment,
        anchor_count,
        lowest_weight_confidence
    from averaged
)

select * from final
