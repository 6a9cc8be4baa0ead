-- One row per batch and active template whose trigger has fired or is expected to, while the batch
-- has fish: the day of it, the state of that day, and when the activity is due.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'activity_template_id'], 'unique': true},
    ],
) }}

with outlook_days as (
    select * from {{ pending('int_batch_outlook_days', 'batches') }}
),

weight_triggers as (
    select * from {{ pending('int_weight_triggers', 'batches') }}
),

stage_triggers as (
    select * from {{ pending('int_stage_triggers', 'batches') }}
),

genetic_triggers as (
    select * from {{ pending('int_genetic_triggers', 'batches') }}
),

batches as (
    select * from {{ ref('stg_batches') }}
),

templates as (
    select * from {{ ref('stg_activity_templates') }} where is_active
),

fish_days as (
    select
        batch_id,
        max(state_date) filter (where not is_forecast) as last_fish_date
    from outlook_days
    group by batch_id
),

stocked as (
    select
        fish_days.batch_id,
        batches.start_date,
        fish_days.last_fish_date,
        fish_days.last_fish_date = {{ as_of_date() }} as has_fish
    from fish_days
    inner join batches on fish_days.batch_id = batches.batch_id
),

triggers as (
    select
        batch_id,
        activity_template_id,
        trigger_status,
        triggered_date,
        triggered_date as due_date,
        first_container_date,
        first_assignment_id,
        null::date as half_of_fish_date,
        null::double precision as resistance_priority
    from weight_triggers

    union all

    select
        batch_id,
        activity_template_id,
        trigger_status,
        triggered_date,
        triggered_date as due_date,
        triggered_date as first_container_date,
        first_assignment_id,
        half_of_fish_date,
        null::double precision as resistance_priority
    from stage_triggers

    union all

    select
        batch_id,
        activity_template_id,
        trigger_status,
        triggered_date,
        triggered_date + {{ planning_constant('resistance_lead_days') }}::integer as due_date,
        null::date as first_container_date,
        null::bigint as first_assignment_id,
        null::date as half_of_fish_date,
        resistance_priority
    from genetic_triggers

    union all

    select
        stocked.batch_id,
        templates.activity_template_id,
        case
            when stocked.start_date + templates.day_offset <= {{ as_of_date() }} then 'fired'
            else 'expected'
        end as trigger_status,
        stocked.start_date + templates.day_offset as triggered_date,
        stocked.start_date + templates.day_offset as due_date,
        null::date as first_container_date,
        null::bigint as first_assignment_id,
        null::date as half_of_fish_date,
        null::double precision as resistance_priority
    from stocked
    inner join templates on templates.trigger_type = 'DAY_OFFSET'
    where templates.day_offset is not null
),

final as (
    select
        triggers.*,
        stocked.start_date as batch_start_date,
        stocked.has_fish,
        outlook_days.avg_weight_g as trigger_weight_g,
        outlook_days.population as trigger_population
    from triggers
    inner join stocked on triggers.batch_id = stocked.batch_id
    left join outlook_days
        on
            triggers.batch_id = outlook_days.batch_id
            and triggers.triggered_date = outlook_days.state_date
    where stocked.has_fish or triggers.triggered_date <= stocked.last_fish_date
)

select * from final
