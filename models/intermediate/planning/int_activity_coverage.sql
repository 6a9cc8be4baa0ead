-- One row per suggestion that a planned activity of its batch covers: which one, and by what.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'activity_template_id'], 'unique': true},
    ],
) }}

with triggers as (
    select * from {{ pending('int_activity_triggers', 'batches') }}
),

templates as (
    select * from {{ ref('stg_activity_templates') }}
),

planned_activities as (
    select * from {{ ref('stg_planned_activities') }}
),

pairs as (
    select
        triggers.batch_id,
        triggers.activity_template_id,
        planned_activities.planned_activity_id,
        position(
            {{ suggestion_marker('triggers.activity_template_id') }} in planned_activities.notes
        ) > 0 as has_marker,
        planned_activities.activity_type = templates.activity_type
        and planned_activities.activity_status <> 'CANCELLED' as is_of_its_type,
        btrim(planned_activities.notes) = btrim({{ template_notes('templates') }}) as has_notes,
        least(
            abs(planned_activities.due_date - triggers.due_date),
            abs(planned_activities.completed_date - triggers.due_date)
        ) as days_apart
    from triggers
    inner join templates on triggers.activity_template_id = templates.activity_template_id
    inner join planned_activities on triggers.batch_id = planned_activities.batch_id
),

covering as (
    select
        *,
        case
            when has_marker then 1
            when is_of_its_type and has_notes then 2
            when is_of_its_type and days_apart <= {{ planning_constant('coverage_days') }} then 3
        end as precedence
    from pairs
),

final as (
    select distinct on (batch_id, activity_template_id)
        batch_id,
        activity_template_id,
        planned_activity_id,
        case precedence
            when 1 then 'marker'
            when 2 then 'template_notes'
            else 'due_date'
        end as covered_by
    from covering
    where precedence is not null
    order by batch_id, activity_template_id, precedence, days_apart, planned_activity_id
)

select * from final
