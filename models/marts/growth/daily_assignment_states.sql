-- One row per assignment and day.
{{ config(
    meta={'published_by': 'assignment_days'},
    indexes=[
        {'columns': ['assignment_id', 'state_date'], 'unique': true},
        {'columns': ['batch_id', 'state_date']},
        {'columns': ['state_date']},
    ],
    partial_indexes=['(assignment_id, state_date) where anchor_type is not null'],
    hypertable='state_date',
) }}

with daily_measures as (
    select * from {{ pending('int_daily_measures', 'assignments', day='state_date') }}
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

batch_scenarios as (
    select * from {{ ref('int_batch_scenarios') }}
),

final as (
    select
        -- which
        daily_measures.batch_id,
        batches.batch_number,
        daily_measures.assignment_id,
        daily_measures.container_id,
        containers.container_name,
        daily_measures.lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_name,
        daily_measures.state_date,
        daily_measures.day_number::integer as day_number,

        -- the state at the end of the day
        daily_measures.weight_g::numeric(12, 4) as avg_weight_g,
        daily_measures.population,
        (daily_measures.population * daily_measures.weight_g / 1000)::numeric(14, 2)
            as biomass_kg,

        -- what happened that day
        daily_measures.temp_c::numeric(5, 2) as temp_c,
        daily_measures.mortality_count,
        daily_measures.feed_kg::numeric(14, 4) as feed_kg,
        daily_measures.observed_fcr::numeric(8, 3) as observed_fcr,
        daily_measures.gain_kg::numeric(14, 4) as gain_kg,
        daily_measures.arrived_count,
        daily_measures.departed_count,
        daily_measures.count_adjustment,
        daily_measures.anchor_type,

        -- where it comes from
        daily_measures.temp_source,
        daily_measures.temp_confidence,
        daily_measures.mortality_source,
        daily_measures.mortality_confidence,
        daily_measures.feed_source,
        daily_measures.feed_confidence,
        daily_measures.weight_source,
        daily_measures.weight_confidence,
        daily_measures.fcr_source,
        daily_measures.fcr_confidence,
        daily_measures.state_date = {{ as_of_date() }} as is_provisional,
        daily_measures.is_arrival_inferred,
        batch_scenarios.scenario_id,
        batch_scenarios.scenario_source,
        daily_measures.planned_activity_id,
        daily_measures.input_hash,
        current_timestamp as last_computed_at
    from daily_measures
    left join batches on daily_measures.batch_id = batches.batch_id
    left join containers on daily_measures.container_id = containers.container_id
    left join lifecycle_stages
        on daily_measures.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
    left join batch_scenarios on daily_measures.batch_id = batch_scenarios.batch_id
    {%- if first_kept_day() is not none %}
    where daily_measures.state_date >= {{ first_kept_day() }}
    {%- endif %}
)

select * from final
