-- One row per batch, type of activity and month in which activities were due: how many there are,
-- and how they kept to their days. A view over a few thousand small rows.
{{ config(materialized='view') }}

with activities as (
    select * from {{ ref('int_activity_timeliness') }}
),

batches as (
    select * from {{ ref('batches') }}
),

counted as (
    select
        batch_id,
        activity_type,
        date_trunc('month', due_date)::date as due_month_start_date,
        count(*) as activity_count,
        count(*) filter (where activity_status = 'COMPLETED') as completed_count,
        count(*) filter (where timeliness = 'cancelled') as cancelled_count,
        count(*) filter (where timeliness = 'overdue') as overdue_count,
        count(*) filter (where timeliness = 'open') as open_count,
        count(*) filter (where timeliness = 'early') as early_count,
        count(*) filter (where timeliness = 'on_time') as on_time_count,
        count(*) filter (where timeliness = 'late') as late_count,
        sum(days_late)::bigint as days_late_sum
    from activities
    group by batch_id, activity_type, date_trunc('month', due_date)::date
),

final as (
    select
        -- which
        counted.batch_id,
        batches.batch_number,
        counted.activity_type,
        counted.due_month_start_date,

        -- how many
        counted.activity_count,
        counted.completed_count,
        counted.cancelled_count,
        counted.overdue_count,
        counted.open_count,
        counted.early_count,
        counted.on_time_count,
        counted.late_count,
        counted.days_late_sum,

        -- how well
        (
            100.0 * counted.completed_count
            / nullif(counted.activity_count - counted.cancelled_count, 0)
        )::numeric(5, 2) as completion_percent,
        (
            100.0 * counted.on_time_count
            / nullif(counted.early_count + counted.on_time_count + counted.late_count, 0)
        )::numeric(5, 2) as on_time_percent,
        (
            1.0 * counted.days_late_sum
            / nullif(counted.early_count + counted.on_time_count + counted.late_count, 0)
        )::numeric(12, 2) as mean_days_late
    from counted
    inner join batches on counted.batch_id = batches.batch_id
)

select * from final
