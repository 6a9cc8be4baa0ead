-- One row per batch and template whose weight the batch has reached, or is forecast to: the first
-- day of it, and the container that was there first. A batch that begins at that weight has reached
-- it elsewhere, and has no row.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'activity_template_id'], 'unique': true},
    ],
) }}

with outlook_days as (
    select * from {{ pending('int_batch_outlook_days', 'batches') }}
),

growth_states as (
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
        weight_threshold_g - 1e-9 as threshold_g
    from {{ ref('stg_activity_templates') }}
    where is_active and trigger_type = 'WEIGHT_THRESHOLD'
),

first_days as (
    select distinct on (batch_id)
        batch_id,
        state_date,
        avg_weight_g
    from outlook_days
    order by batch_id, state_date
),

reached as (
    select
        first_days.batch_id,
        templates.activity_template_id,
        templates.threshold_g,
        min(outlook_days.state_date) filter (
            where outlook_days.avg_weight_g >= templates.threshold_g
        ) as triggered_date,
        min(outlook_days.state_date) as first_container_date
    from first_days
    inner join templates on first_days.avg_weight_g < templates.threshold_g
    inner join outlook_days
        on
            first_days.batch_id = outlook_days.batch_id
            and first_days.state_date < outlook_days.state_date
            and greatest(outlook_days.avg_weight_g, outlook_days.largest_container_weight_g)
            >= templates.threshold_g
    group by first_days.batch_id, templates.activity_template_id, templates.threshold_g
),

triggered as (
    select
        reached.*,
        outlook_days.is_forecast
    from reached
    inner join outlook_days
        on
            reached.batch_id = outlook_days.batch_id
            and reached.triggered_date = outlook_days.state_date
),

containers_then as (
    select
        triggered.batch_id,
        triggered.activity_template_id,
        growth_states.assignment_id,
        growth_states.weight_g
    from triggered
    inner join growth_states
        on
            triggered.batch_id = growth_states.batch_id
            and triggered.first_container_date = growth_states.state_date

    union all

    select
        triggered.batch_id,
        triggered.activity_template_id,
        forecast_days.assignment_id,
        {{ weight_of_root('forecast_days.root') }} as weight_g
    from triggered
    inner join forecast_days
        on
            triggered.batch_id = forecast_days.batch_id
            and triggered.first_container_date = forecast_days.state_date
),

first_containers as (
    select distinct on (batch_id, activity_template_id)
        batch_id,
        activity_template_id,
        assignment_id
    from containers_then
    order by batch_id asc, activity_template_id asc, weight_g desc, assignment_id asc
),

final as (
    select
        triggered.batch_id,
        triggered.activity_template_id,
        case when triggered.is_forecast then 'expected' else 'fired' end as trigger_status,
        triggered.triggered_date,
        triggered.first_container_date,
        first_containers.assignment_id as first_assignment_id
    from triggered
    inner join first_containers
        on
            triggered.batch_id = first_containers.batch_id
            and triggered.activity_template_id = first_containers.activity_template_id
)

select * from final
