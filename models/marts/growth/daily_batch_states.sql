-- One row per batch and day. What is replaced here has been noted for the mart `restatements`:
-- depends_on: {{ ref('int_batch_days_before') }}
{{ config(
    meta={'published_by': 'batch_days'},
    indexes=[
        {'columns': ['batch_id', 'state_date'], 'unique': true},
        {'columns': ['state_date']},
    ],
) }}

with batch_days as (
    select * from {{ pending('int_batch_days', 'batches', day='state_date') }}
),

batches as (
    select * from {{ ref('batches') }}
),

lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

final as (
    select
        batch_days.batch_id,
        batches.batch_number,
        batch_days.lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_name,
        batch_days.state_date,
        batch_days.day_number::integer as day_number,

        -- the state at the end of the day
        batch_days.avg_weight_g::numeric(12, 4) as avg_weight_g,
        batch_days.population,
        batch_days.biomass_kg::numeric(14, 2) as biomass_kg,
        batch_days.container_count,
        batch_days.smallest_container_weight_g::numeric(12, 4)
            as smallest_container_weight_g,
        batch_days.largest_container_weight_g::numeric(12, 4) as largest_container_weight_g,
        batch_days.container_cv_percent::numeric(8, 2) as container_cv_percent,

        -- what happened that day
        batch_days.temp_c::numeric(5, 2) as temp_c,
        batch_days.mortality_count,
        batch_days.feed_kg::numeric(14, 4) as feed_kg,
        batch_days.observed_fcr::numeric(8, 3) as observed_fcr,
        batch_days.gain_kg::numeric(14, 4) as gain_kg,
        batch_days.arrived_count,
        batch_days.departed_count,
        batch_days.count_adjustment,
        batch_days.anchor_count,

        batch_days.lowest_weight_confidence,
        batch_days.state_date = {{ as_of_date() }} as is_provisional
    from batch_days
    left join batches on batch_days.batch_id = batches.batch_id
    left join lifecycle_stages
        on batch_days.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
)

select * from final
