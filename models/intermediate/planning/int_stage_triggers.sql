-- One row per batch and template whose stage fish of the batch have entered, or are forecast to:
-- the first day of it, the container they were in, and the day by which half of the fish had come
-- so far. A batch that begins in that stage has entered it elsewhere, and has no row.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'activity_template_id'], 'unique': true},
    ],
) }}

with growth_states as (
    select * from {{ pending('int_growth_states', 'batches') }}
    where population > 0 and not is_in_transit
),

forecast_days as (
    select * from {{ pending('int_forecast_days', 'batches') }}
    where days_ahead > 0 and population > 0
),

templates as (
    select
        activity_template_id,
        target_lifecycle_stage_id
    from {{ ref('stg_activity_templates') }}
    where is_active and trigger_type = 'STAGE_TRANSITION'
),

stages as (
    select
        lifecycle_stage_id,
        row_number() over (
            partition by species_id order by stage_order, lifecycle_stage_id
        ) as stage_rank
    from {{ ref('stg_lifecycle_stages') }}
),

days as (
    select
        batch_id,
        state_date,
        assignment_id,
        lifecycle_stage_id,
        population,
        false as is_forecast
    from growth_states

    union all

    select
        batch_id,
        state_date,
        assignment_id,
        lifecycle_stage_id,
        population,
        true as is_forecast
    from forecast_days
),

stage_days as (
    select
        days.batch_id,
        days.state_date,
        days.lifecycle_stage_id,
        stages.stage_rank,
        days.is_forecast,
        min(days.assignment_id) as first_assignment_id,
        sum(days.population) as population
    from days
    inner join stages on days.lifecycle_stage_id = stages.lifecycle_stage_id
    group by
        days.batch_id,
        days.state_date,
        days.lifecycle_stage_id,
        stages.stage_rank,
        days.is_forecast
),

first_days as (
    select
        batch_id,
        min(state_date) as first_date
    from stage_days
    group by batch_id
),

first_stage_days as (
    select distinct on (batch_id, lifecycle_stage_id) *
    from stage_days
    order by batch_id, lifecycle_stage_id, state_date
),

entered as (
    select
        first_stage_days.batch_id,
        templates.activity_template_id,
        first_stage_days.stage_rank,
        first_stage_days.is_forecast,
        first_stage_days.state_date as triggered_date,
        first_stage_days.first_assignment_id
    from first_stage_days
    inner join templates
        on first_stage_days.lifecycle_stage_id = templates.target_lifecycle_stage_id
    inner join first_days
        on
            first_stage_days.batch_id = first_days.batch_id
            and first_stage_days.state_date > first_days.first_date
),

shares as (
    select
        entered.batch_id,
        entered.activity_template_id,
        stage_days.state_date,
        sum(stage_days.population) filter (where stage_days.stage_rank >= entered.stage_rank)
            as advanced_count,
        sum(stage_days.population) as population
    from entered
    inner join stage_days
        on
            entered.batch_id = stage_days.batch_id
            and entered.triggered_date <= stage_days.state_date
    group by entered.batch_id, entered.activity_template_id, stage_days.state_date
),

halves as (
    select
        batch_id,
        activity_template_id,
        min(state_date) as half_of_fish_date
    from shares
    where 2 * advanced_count >= population
    group by batch_id, activity_template_id
),

final as (
    select
        entered.batch_id,
        entered.activity_template_id,
        case when entered.is_forecast then 'expected' else 'fired' end as trigger_status,
        entered.triggered_date,
        entered.first_assignment_id,
        halves.half_of_fish_date
    from entered
    left join halves
        on
            entered.batch_id = halves.batch_id
            and entered.activity_template_id = halves.activity_template_id
)

select * from final
