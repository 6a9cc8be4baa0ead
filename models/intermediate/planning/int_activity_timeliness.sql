-- One row per planned activity: when it was done, and how that kept to the day on which it was
-- due. A view, because what is open becomes overdue with no record changed.
{{ config(materialized='view') }}

with planned_activities as (
    select * from {{ ref('stg_planned_activities') }}
),

-- Only what was done has a day on which it was done.
dated as (
    select
        planned_activity_id,
        batch_id,
        container_id,
        scenario_id,
        activity_type,
        activity_status,
        due_date,
        case when activity_status = 'COMPLETED' then completed_date end as completed_date,
        activity_status in ('PENDING', 'IN_PROGRESS') as is_open
    from planned_activities
),

final as (
    select
        planned_activity_id,
        batch_id,
        container_id,
        scenario_id,
        activity_type,
        activity_status,
        is_open,
        due_date,
        completed_date,
        completed_date - due_date as days_late,
        case
            when activity_status = 'CANCELLED' then 'cancelled'
            when is_open and due_date < {{ live_as_of_date() }} then 'overdue'
            when is_open then 'open'
            when completed_date - due_date < -{{ planning_constant('on_time_days') }} then 'early'
            when completed_date - due_date > {{ planning_constant('on_time_days') }} then 'late'
            when completed_date is not null then 'on_time'
        end as timeliness
    from dated
)

select * from final
