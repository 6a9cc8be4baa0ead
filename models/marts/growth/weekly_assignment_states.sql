-- One row per assignment and ISO week in which it has a state.
{{ config(
    meta={'published_by': 'assignment_weeks'},
    indexes=[
        {'columns': ['assignment_id', 'week_start_date'], 'unique': true},
        {'columns': ['batch_id', 'week_start_date']},
        {'columns': ['week_start_date']},
    ],
) }}

with assignment_weeks as (
    select * from {{ pending(
        'int_assignment_weeks', 'assignments', day='week_start_date', since='week'
    ) }}
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

compared as (
    select
        *,
        case when population > 0 then weight_g end as end_weight_g
    from assignment_weeks
),

final as (
    select
        -- which
        compared.batch_id,
        batches.batch_number,
        compared.assignment_id,
        compared.container_id,
        containers.container_name,
        compared.lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_name,
        compared.week_start_date,
        extract(isoyear from compared.week_start_date)::integer as iso_year,
        extract(week from compared.week_start_date)::integer as iso_week,

        -- the state at the end of the last day covered
        compared.last_state_date,
        compared.days_covered,
        compared.weight_g::numeric(12, 4) as avg_weight_g,
        compared.population,
        (compared.population * compared.weight_g / 1000)::numeric(14, 2) as biomass_kg,

        -- what happened that week
        compared.temp_c::numeric(5, 2) as temp_c,
        compared.degree_days::numeric(10, 2) as degree_days,
        compared.mortality_count,
        compared.feed_kg::numeric(14, 4) as feed_kg,
        compared.days_with_feed,
        compared.gain_kg::numeric(14, 4) as gain_kg,
        ({{ observed_fcr('compared.feed_kg', 'compared.gain_kg') }})::numeric(8, 3)
            as observed_fcr,
        compared.arrived_count,
        compared.departed_count,
        compared.count_adjustment,
        compared.anchor_count,

        -- how the fish grew
        compared.start_weight_g::numeric(12, 4) as start_weight_g,
        ({{ specific_growth_rate(
            'compared.start_weight_g', 'compared.end_weight_g', 'compared.days_covered'
        ) }})::numeric(10, 4) as sgr_percent_per_day,
        ({{ thermal_growth_coefficient(
            'compared.start_weight_g', 'compared.end_weight_g', 'compared.degree_days'
        ) }})::numeric(12, 4) as tgc,

        compared.lowest_weight_confidence,
        compared.last_state_date = {{ as_of_date() }} as is_provisional
    from compared
    left join batches on compared.batch_id = batches.batch_id
    left join containers on compared.container_id = containers.container_id
    left join lifecycle_stages
        on compared.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
)

select * from final
