-- One row per raw feeding event: the assignment it belongs to (null: it names only a container),
-- and the reason why it is not used (null where it is).
{{ config(
    materialized='view',
    meta={'examined_by': ['recorded_batch_id', 'recorded_assignment_id']},
) }}

-- (Read several times, and yet not kept apart: the planner knows how few they are.)
with assignments as not materialized (
    select * from {{ ref('int_assignments') }}
),

feeding_events as (
    select * from {{ ref('stg_feeding_events') }}
),

-- An event that names only container and batch belongs to the batch's assignment active there.
located as (
    select
        feeding_events.feeding_event_id,
        feeding_events.batch_id as recorded_batch_id,
        feeding_events.assignment_id as recorded_assignment_id,
        feeding_events.container_id,
        feeding_events.feeding_date,
        feeding_events.amount_kg,
        coalesce(assignments.assignment_id, active_there.assignment_id) as assignment_id,
        coalesce(assignments.assignment_date, active_there.assignment_date) as assignment_date,
        coalesce(assignments.departure_date, active_there.departure_date) as departure_date,
        coalesce(assignments.end_date, active_there.end_date) as end_date,
        feeding_events.assignment_id is null
        and feeding_events.batch_id is null as is_for_container,
        -- Feed for the container alone: somebody was there to eat it.
        case
            when feeding_events.assignment_id is null and feeding_events.batch_id is null
                then exists (
                    select 1 from assignments as holders
                    where
                        feeding_events.container_id = holders.container_id
                        and {{ is_active_on('feeding_events.feeding_date', 'holders') }}
                )
        end as is_container_held
    from feeding_events
    left join assignments on feeding_events.assignment_id = assignments.assignment_id
    left join assignments as active_there
        on
            feeding_events.assignment_id is null
            and feeding_events.batch_id = active_there.batch_id
            and feeding_events.container_id = active_there.container_id
            and {{ is_active_on('feeding_events.feeding_date', 'active_there') }}
),

final as (
    select
        feeding_event_id,
        recorded_batch_id,
        recorded_assignment_id,
        assignment_id,
        container_id,
        feeding_date,
        amount_kg,
        is_for_container,
        case
            when amount_kg is null then 'no amount'
            when amount_kg < 0 then 'negative feed'
            when amount_kg = 'NaN' then 'not a number'
            when is_for_container and container_id is null then 'container is missing'
            when is_for_container and feeding_date is null then 'no date'
            when is_for_container and feeding_date > {{ last_known_date() }} then 'in the future'
            when not is_container_held then 'no assignment is active in the container'
            when is_for_container then null
            {{ reject_unless_in_assignment('feeding_date', 'located') }}
            when feeding_date = departure_date then 'on the departure day, which has no state'
        end as reject_reason,
        case
            when amount_kg is null or amount_kg < 0 or amount_kg = 'NaN' then amount_kg::text
            else feeding_date::text
        end as reject_value
    from located
)

select * from final
