-- The summaries of planned activities count each activity once, and only activities.
with counted as (
    select
        activities.batch_id,
        count(*) as activity_count,
        count(*) filter (where activities.activity_status = 'COMPLETED') as completed_count,
        count(*) filter (where activities.timeliness = 'on_time') as on_time_count,
        count(*) filter (where activities.timeliness = 'overdue') as overdue_count,
        sum(activities.days_late) as days_late_sum
    from {{ ref('planned_activity_variance') }} as activities
    group by activities.batch_id
),

summed as (
    select
        batch_id,
        sum(activity_count) as activity_count,
        sum(completed_count) as completed_count,
        sum(on_time_count) as on_time_count,
        sum(overdue_count) as overdue_count,
        sum(days_late_sum) as days_late_sum
    from {{ ref('planned_activity_summary') }}
    group by batch_id
),

batch_plan_variance as (
    select * from {{ ref('batch_plan_variance') }}
)

select
    coalesce(counted.batch_id, summed.batch_id) as batch_id,
    counted.activity_count,
    summed.activity_count as summed_activity_count
from counted
full join summed on counted.batch_id = summed.batch_id
left join batch_plan_variance
    on counted.batch_id = batch_plan_variance.batch_id
where
    (
        counted.activity_count = summed.activity_count
        and counted.completed_count = summed.completed_count
        and counted.on_time_count = summed.on_time_count
        and counted.overdue_count = summed.overdue_count
        and counted.days_late_sum is not distinct from summed.days_late_sum
        -- (a batch that never had fish has no row there)
        and coalesce(
            counted.activity_count = batch_plan_variance.activity_count
            and counted.completed_count = batch_plan_variance.completed_count
            and counted.on_time_count = batch_plan_variance.on_time_count
            and counted.overdue_count = batch_plan_variance.overdue_count,
            batch_plan_variance.batch_id is null
        )
    ) is not true
