-- One row per batch and ISO week in which it has a state.
{{ config(
    meta={'published_by': 'batch_weeks'},
    indexes=[
        {'columns': ['batch_id', 'week_start_date'], 'unique': true},
        {'columns': ['week_start_date']},
    ],
) }}

with batch_weeks as (
    select * from {{ pending(
        'int_batch_weeks', 'batches', day='week_start_date', since='week'
    ) }}
),

batches as (
    select * from {{ ref('batches') }}
),

lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

final as (
    select
        -- which
        batch_weeks.batch_id,
        batches.batch_number,
        batch_weeks.lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_name,
        batch_weeks.week_start_date,
        extract(isoyear from batch_weeks.week_start_date)::integer as iso_year,
        extract(week from batch_weeks.week_start_date)::integer as iso_week,

        -- the state at the end of the last day covered
        batch_weeks.last_state_date,
        batch_weeks.days_covered,
        batch_weeks.avg_weight_g::numeric(12, 4) as avg_weight_g,
        batch_weeks.population,
        batch_weeks.biomass_kg::numeric(14, 2) as biomass_kg,
        batch_weeks.container_count,
        batch_weeks.smallest_container_weight_g::numeric(12, 4)
            as smallest_container_weight_g,
        batch_weeks.largest_container_weight_g::numeric(12, 4)
            as largest_container_weight_g,
        batch_weeks.container_cv_percent::numeric(8, 2) as container_cv_percent,

        -- what happened that week
        batch_weeks.temp_c::numeric(5, 2) as temp_c,
        batch_weeks.degree_days::numeric(10, 2) as degree_days,
        batch_weeks.mortality_count,
        batch_weeks.feed_kg::numeric(14, 4) as feed_kg,
        batch_weeks.days_with_feed,
        batch_weeks.gain_kg::numeric(14, 4) as gain_kg,
        ({{ observed_fcr('batch_weeks.feed_kg', 'batch_weeks.gain_kg') }})::numeric(8, 3)
            as observed_fcr,
        batch_weeks.arrived_count,
        batch_weeks.departed_count,
        batch_weeks.count_adjustment,
        batch_weeks.anchor_count,

        -- how the fish grew
        batch_weeks.start_weight_g::numeric(12, 4) as start_weight_g,
        ({{ specific_growth_rate(
            'batch_weeks.start_weight_g', 'batch_weeks.avg_weight_g', 'batch_weeks.days_covered'
        ) }})::numeric(10, 4) as sgr_percent_per_day,
        ({{ thermal_growth_coefficient(
            'batch_weeks.start_weight_g', 'batch_weeks.avg_weight_g', 'batch_weeks.degree_days'
        ) }})::numeric(12, 4) as tgc,

        batch_weeks.lowest_weight_confidence,
        batch_weeks.last_state_date = {{ as_of_date() }} as is_provisional
    from batch_weeks
    left join batches on batch_weeks.batch_id = batches.batch_id
    left join lifecycle_stages
        on batch_weeks.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
)

select * from final
