-- One row per assignment and day on which the engine holds it: its active days, and the days
-- between its departure and a late arrival of its fish (is_in_transit: no state is published).
{{ config(materialized='view', meta={'examined_by': ['assignment_id']}) }}

with assignments as (
    select * from {{ ref('int_assignments') }}
),

stocking as (
    select * from {{ ref('int_stocking') }}
),

movements as (
    select * from {{ ref('int_movements') }} where arrived_date > departed_date
),

spans as (
    select
        assignments.*,
        stocking.start_weight_g,
        greatest(assignments.last_active_date, late_arrivals.last_transit_date) as last_held_date
    from assignments
    inner join stocking on assignments.assignment_id = stocking.assignment_id
    cross join lateral (
        select max(movements.arrived_date) - 1 as last_transit_date
        from movements
        where assignments.assignment_id = movements.from_assignment_id
    ) as late_arrivals
),

final as (
    select
        spans.assignment_id,
        spans.assignment_date + day_index as state_date,
        spans.batch_id,
        spans.container_id,
        spans.lifecycle_stage_id,
        spans.assignment_date + day_index - spans.batch_start_date + 1 as day_number,
        case when day_index = 0 then spans.start_weight_g end as start_weight_g,
        spans.assignment_date + day_index > spans.last_active_date as is_in_transit
    from spans
    cross join lateral
        generate_series(0, spans.last_held_date - spans.assignment_date) as day_index
)

select * from final
