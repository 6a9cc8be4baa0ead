-- One row per planned activity: how it kept to the day on which it was due. A view, because what is
-- open becomes overdue with no record changed.
{{ config(materialized='view') }}

with planned_activities as (
    select * from {{ ref('int_planned_activities') }}
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
        days_late,
        case
            when activity_status = 'CANCELLED' then 'cancelled'
            when is_open and due_date < {{ live_as_of_date() }} then 'overdue'
            when is_open then 'open'
            when days_late < -{{ planning_constant('on_time_days') }} then 'early'
            when days_late > {{ planning_constant('on_time_days') }} then 'late'
            when days_late is not null then 'on_time'
        end as timeliness
    from planned_activities
)

select * from final
