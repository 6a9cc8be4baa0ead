-- One row per raw harvest lot with its event's assignment and day, and the reason why it is not
-- used (null where it is).
{{ config(
    meta={'examined_by': ['harvest_event_id', 'assignment_id']},
    indexes=[
        {'columns': ['harvest_event_id']},
        {'columns': ['assignment_id']},
    ],
) }}

with harvest_lots as (
    select * from {{ examined('stg_harvest_lots') }}
),

harvest_events as (
    select * from {{ ref('stg_harvest_events') }}
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

final as (
    select
        harvest_lots.harvest_lot_id,
        harvest_lots.harvest_event_id,
        harvest_events.assignment_id,
        harvest_events.harvest_date,
        harvest_lots.unit_count as fish_count,
        case
            when harvest_events.harvest_event_id is null then 'harvest event is missing'
            when harvest_lots.unit_count is null then 'no count'
            when harvest_lots.unit_count < 0 then 'negative count'
            {{ reject_unless_in_assignment('harvest_events.harvest_date') }}
        end as reject_reason,
        case
            when harvest_events.harvest_event_id is null then harvest_lots.harvest_event_id::text
            when harvest_lots.unit_count < 0 then harvest_lots.unit_count::text
            else harvest_events.harvest_date::text
        end as reject_value
    from harvest_lots
    left join harvest_events
        on harvest_lots.harvest_event_id = harvest_events.harvest_event_id
    left join assignments on harvest_events.assignment_id = assignments.assignment_id
)

select * from final
