-- One row per batch: whether its published states follow its records. A view, because it must be
-- live: what waits in the queue, and what a failed refresh has left undone, counts as it is now.
-- It looks up each batch's newest rows by index; the newest record is kept by int_batch_events.
{{ config(materialized='view') }}

with batch_events as (
    select * from {{ ref('int_batch_events') }}
),

assignments as (
    select * from {{ ref('int_assignments') }}
),

today as (
    select {{ live_as_of_date() }} as as_of_date
),

-- The last day on which a batch holds fish, as far as the records go.
expected as (
    select
        assignments.batch_id,
        min(assignments.assignment_date) as first_state_date,
        max(
            least(
                coalesce(assignments.departure_date - 1, assignments.end_date), today.as_of_date
            )
        ) as expected_state_date
    from assignments
    cross join today
    where
        assignments.assignment_date <= today.as_of_date
        and assignments.assignment_date is distinct from assignments.departure_date
    group by assignments.batch_id
),

newest_states as (
    select
        batch_events.batch_id,
        newest.state_date as newest_state_date
    from batch_events
    cross join lateral (
        select max(days.state_date) as state_date
        from {{ ref('daily_batch_states') }} as days
        where batch_events.batch_id = days.batch_id
    ) as newest
),

queued as (
    select
        batch_id,
        count(*) as pending_event_count,
        min(occurred_at) as oldest_pending_at
    from {{ source('ops', 'change_events') }}
    group by batch_id
),

failures as (
    select * from {{ source('ops', 'event_failures') }}
),

-- Found by a refresh that has not come to its end.
unpublished as (
    select
        batch_id,
        count(*) as unpublished_change_count
    from {{ ref('int_changes') }}
    where
        change_id > coalesce(
            (
                select published.change_id
                from {{ source('ops', 'published') }} as published
                where published.model_name = 'daily_batch_states'
            ),
            0
        )
    group by batch_id
),

-- Assignments with fish today, and when they were weighed last.
open_assignments as (
    select
        assignments.batch_id,
        assignments.assignment_id,
        assignments.assignment_date,
        (
            select max(anchors.anchor_date)
            from {{ ref('weight_anchors') }} as anchors
            where assignments.assignment_id = anchors.assignment_id and anchors.is_used
        ) as last_anchor_date
    from assignments
    cross join today
    left join lateral (
        select days.population
        from {{ ref('daily_assignment_states') }} as days
        where assignments.assignment_id = days.assignment_id
        order by days.state_date desc
        limit 1
    ) as newest on true
    where
        {{ is_active_on('today.as_of_date', 'assignments') }}
        and newest.population is distinct from 0
),

oldest_anchors as (
    select
        batch_id,
        count(*) as open_assignment_count,
        count(*) - count(last_anchor_date) as never_weighed_count,
        min(coalesce(last_anchor_date, assignment_date)) as oldest_anchor_date,
        (array_agg(
            assignment_id
            order by coalesce(last_anchor_date, assignment_date), assignment_id
        ))[1] as oldest_anchor_assignment_id
    from open_assignments
    group by batch_id
),

measured as (
    select
        batch_events.batch_id,
        batch_events.batch_number,
        batch_events.newest_event_date,
        batch_events.newest_event_kind,
        newest_states.newest_state_date,
        expected.expected_state_date,
        greatest(
            expected.expected_state_date
            - coalesce(newest_states.newest_state_date, expected.first_state_date - 1),
            0
        ) as lag_days,
        coalesce(queued.pending_event_count, 0) as pending_event_count,
        queued.oldest_pending_at,
        (select count(*) from queued as unclear where unclear.batch_id is null) > 0
            as is_scan_pending,
        coalesce(unpublished.unpublished_change_count, 0) as unpublished_change_count,
        coalesce(failures.attempt_count, 0) as failed_attempt_count,
        failures.set_aside_at,
        failures.last_error,
        coalesce(oldest_anchors.open_assignment_count, 0) as open_assignment_count,
        coalesce(oldest_anchors.never_weighed_count, 0) as never_weighed_count,
        oldest_anchors.oldest_anchor_assignment_id,
        oldest_anchors.oldest_anchor_date,
        today.as_of_date - oldest_anchors.oldest_anchor_date as days_since_oldest_anchor
    from batch_events
    cross join today
    left join newest_states on batch_events.batch_id = newest_states.batch_id
    left join expected on batch_events.batch_id = expected.batch_id
    left join queued on batch_events.batch_id = queued.batch_id
    left join unpublished on batch_events.batch_id = unpublished.batch_id
    left join failures on batch_events.batch_id = failures.batch_id
    left join oldest_anchors on batch_events.batch_id = oldest_anchors.batch_id
),

explained as (
    select
        *,
        nullif(
            concat_ws(
                ', ',
                case when set_aside_at is not null then 'refresh set aside' end,
                case
                    when set_aside_at is null and failed_attempt_count > 0
                        then 'refresh failed'
                end,
                case when lag_days > 0 then 'days missing' end,
                case when pending_event_count > 0 then 'events pending' end,
                case when unpublished_change_count > 0 then 'changes unpublished' end,
                case when is_scan_pending then 'scan pending' end
            ),
            ''
        ) as stale_reason
    from measured
),

final as (
    select
        -- which
        batch_id,
        batch_number,

        -- records against states
        newest_event_date,
        newest_event_kind,
        newest_state_date,
        expected_state_date,
        lag_days,
        stale_reason is not null as is_stale,
        stale_reason,

        -- what is known to be undone
        pending_event_count,
        oldest_pending_at,
        is_scan_pending,
        unpublished_change_count,
        failed_attempt_count,
        set_aside_at,
        last_error,

        -- how long ago the fish were weighed
        open_assignment_count,
        never_weighed_count,
        oldest_anchor_assignment_id,
        oldest_anchor_date,
        days_since_oldest_anchor
    from explained
)

select * from final
