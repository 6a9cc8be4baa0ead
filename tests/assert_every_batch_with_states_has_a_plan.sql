-- On each day of its life, up to the longest that a plan is followed, and from the plan's start on.
-- A run that is pinned may leave days out.
with batch_days as (
    select * from {{ ref('daily_batch_states') }}
),

plan_starts as (
    select * from {{ ref('int_plan_starts') }} where is_in_force
),

plan_days as (
    select * from {{ ref('int_plan_days') }} where is_in_force
),

final as (
    select
        batch_days.batch_id,
        batch_days.state_date
    from batch_days
    left join plan_starts on batch_days.batch_id = plan_starts.batch_id
    left join plan_days
        on
            batch_days.batch_id = plan_days.batch_id
            and batch_days.state_date = plan_days.state_date
    where
        plan_days.batch_id is null
        and plan_starts.pinned_projection_run_id is null
        and coalesce(
            batch_days.state_date between plan_starts.start_date and plan_starts.last_date, true
        )
)

select * from final
