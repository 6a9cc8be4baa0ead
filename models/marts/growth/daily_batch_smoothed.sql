-- One row per batch and day: its assignments' weights in hindsight, combined by number.
{{ config(
    meta={'published_by': 'batches'},
    indexes=[
        {'columns': ['batch_id', 'state_date'], 'unique': true},
    ],
) }}

with daily_assignment_smoothed as (
    select * from {{ pending('daily_assignment_smoothed', 'batches') }}
),

batches as (
    select * from {{ ref('batches') }}
),

-- The errors of a batch's containers are taken as one: they share the model, the temperatures and
-- often the ancestors. So the bounds are averaged as the weights are.
combined as (
    select
        batch_id,
        state_date,
        sum(population)::bigint as population,
        count(*) filter (where population > 0) as container_count,
        count(*) filter (where is_observed) as observed_container_count,
        sum(population * smoothed_weight_g) as weight_sum,
        sum(population * smoothed_weight_low_g) as weight_low_sum,
        sum(population * smoothed_weight_high_g) as weight_high_sum,
        sum(smoothed_biomass_kg) as smoothed_biomass_kg
    from daily_assignment_smoothed
    group by batch_id, state_date
),

final as (
    select
        combined.batch_id,
        batches.batch_number,
        combined.state_date,
        (combined.weight_sum / nullif(combined.population, 0))::numeric(12, 4)
            as smoothed_weight_g,
        (combined.weight_low_sum / nullif(combined.population, 0))::numeric(12, 4)
            as smoothed_weight_low_g,
        (combined.weight_high_sum / nullif(combined.population, 0))::numeric(12, 4)
            as smoothed_weight_high_g,
        combined.population,
        combined.smoothed_biomass_kg::numeric(14, 2) as smoothed_biomass_kg,
        combined.container_count,
        combined.observed_container_count
    from combined
    left join batches on combined.batch_id = batches.batch_id
)

select * from final
