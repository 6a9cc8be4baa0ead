-- One row per movement of fish to an assignment on its first day: their share of the fish that it
-- begins with, and whose filter knows how well their weight is known.
{{ config(materialized='view') }}

with growth_starts as (
    select * from {{ ref('int_growth_starts') }}
),

movements as (
    select * from {{ ref('int_movements') }}
),

final as (
    select
        movements.to_assignment_id as assignment_id,
        movements.movement_key,
        -- a weight that the movement brings is not the source's state
        case when movements.weight_g is null then movements.from_assignment_id end
            as source_assignment_id,
        movements.departed_date,
        movements.fish_count::double precision
        / sum(movements.fish_count) over (partition by movements.to_assignment_id)
            as fish_share
    from growth_starts
    inner join movements
        on
            growth_starts.assignment_id = movements.to_assignment_id
            and growth_starts.state_date + 1 = movements.arrived_date
)

select * from final
