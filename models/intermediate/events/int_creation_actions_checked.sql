-- One row per completed creation action: fish delivered from outside, and the reason why it is
-- not used (null where it is). A delivery dated before the assignment counts on its first day.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with creation_actions as (
    select * from {{ examined('stg_creation_actions') }} where creation_status = 'COMPLETED'
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

final as (
    select
        creation_actions.creation_action_id,
        creation_actions.assignment_id,
        greatest(creation_actions.actual_delivery_date, assignments.assignment_date)
            as arrived_date,
        creation_actions.egg_count_actual - coalesce(creation_actions.mortality_on_arrival, 0)
            as fish_count,
        case
            when assignments.assignment_id is null then 'assignment is missing or rejected'
            when creation_actions.actual_delivery_date is null then 'completed without date'
            when creation_actions.egg_count_actual is null then 'no count'
            when creation_actions.egg_count_actual < 0 then 'negative count'
            when creation_actions.mortality_on_arrival < 0 then 'negative count'
            when creation_actions.mortality_on_arrival > creation_actions.egg_count_actual
                then 'more dead on arrival than delivered'
            when creation_actions.actual_delivery_date > {{ last_known_date() }}
                then 'in the future'
            when
                creation_actions.actual_delivery_date
                >= coalesce(assignments.departure_date, assignments.end_date + 1)
                and creation_actions.actual_delivery_date > assignments.assignment_date
                then 'after the assignment ended'
        end as reject_reason,
        case
            when creation_actions.egg_count_actual < 0
                then creation_actions.egg_count_actual::text
            when
                creation_actions.mortality_on_arrival < 0
                or creation_actions.mortality_on_arrival > creation_actions.egg_count_actual
                then creation_actions.mortality_on_arrival::text
            else creation_actions.actual_delivery_date::text
        end as reject_value
    from creation_actions
    left join assignments on creation_actions.assignment_id = assignments.assignment_id
)

select * from final
