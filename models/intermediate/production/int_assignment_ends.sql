-- One row per assignment that has ended: what happened on the day after its last one, which has
-- no state: the fish that left on the departure day, and those that were never said to leave.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
    ],
) }}

with assignments as (
    select * from {{ pending('int_assignments', 'assignments') }}
),

balances as (
    select * from {{ pending('int_assignment_balances', 'assignments') }}
),

departure_days as (
    select * from {{ pending('int_departure_days', 'assignments') }}
),

movements as (
    select * from {{ pending('int_assignment_day_movements', 'assignments') }}
),

anchors as (
    select * from {{ pending('int_anchors', 'assignments') }}
),

ended as (
    select
        assignments.*,
        coalesce(assignments.departure_date, assignments.end_date + 1) as state_date,
        case when balances.last_state_date is not null then balances.last_population else 0 end
            as population_before,
        balances.last_state_date
    from assignments
    left join balances on assignments.assignment_id = balances.assignment_id
    where
        assignments.departure_date <= {{ as_of_date() }}
        or (assignments.departure_date is null and assignments.end_date < {{ as_of_date() }})
),

counted as (
    select
        ended.batch_id,
        ended.assignment_id,
        ended.container_id,
        coalesce(last_days.lifecycle_stage_id, ended.lifecycle_stage_id) as lifecycle_stage_id,
        ended.state_date,
        -- Of a stop without days, what arrived. Where nothing did, deaths that are recorded there
        -- are of fish that the model does not have: they count, and weigh nothing.
        coalesce(
            last_days.weight_g,
            (1000 * movements.arrived_biomass_kg / nullif(movements.arrived_count, 0))
            ::double precision,
            0
        ) as weight_g,
        ended.population_before,
        coalesce(movements.arrived_count, 0) as arrived_count,
        coalesce(movements.departed_count, 0) as departed_count,
        coalesce(departure_days.mortality_count, 0) as mortality_count,
        anchors.assignment_id is not null as is_anchored
    from ended
    left join {{ ref('int_growth_states') }} as last_days
        on
            ended.assignment_id = last_days.assignment_id
            and ended.last_state_date = last_days.state_date
    left join movements
        on
            ended.assignment_id = movements.assignment_id
            and ended.state_date = movements.state_date
    left join departure_days on ended.assignment_id = departure_days.assignment_id
    left join anchors
        on
            ended.assignment_id = anchors.assignment_id
            and ended.state_date = anchors.anchor_date
),

final as (
    select
        *,
        departed_count + mortality_count - population_before - arrived_count as count_adjustment
    from counted
    where
        population_before > 0
        or arrived_count > 0
        or departed_count > 0
        or mortality_count > 0
)

select * from final
