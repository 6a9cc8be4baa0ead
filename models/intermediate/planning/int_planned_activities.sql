-- One row per planned activity: what is planned, when it was done, and how late that was. A table,
-- so that what is made from it stays readable while raw tables are migrated, and agrees with
-- forecasts of the same run.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with planned_activities as (
    select * from {{ pending('stg_planned_activities', 'batches') }}
),

-- Only what was done has a day on which it was done.
dated as (
    select
        *,
        case when activity_status = 'COMPLETED' then completed_date end as done_date
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
        activity_status in ('PENDING', 'IN_PROGRESS') as is_open,
        due_date,
        done_date as completed_date,
        done_date - due_date as days_late
    from dated
)

select * from final
