-- One row per assignment with a state, or without days but with fish that arrived and were not
-- seen to leave: the sums of its days, what of them was stocked or inferred, and its last number.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
    ],
) }}

with growth_states as (
    select * from {{ pending('int_growth_states', 'assignments') }} where not is_in_transit
),

assignments as (
    select * from {{ pending('int_assignments', 'assignments') }}
),

arriving as (
    select * from {{ pending('int_movements', 'assignments', key='to_assignment_id') }}
),

departing as (
    select * from {{ pending('int_movements', 'assignments', key='from_assignment_id') }}
),

arrivals as (
    select
        to_assignment_id as assignment_id,
        sum(fish_count) filter (where movement_type = 'stocking') as stocked_count,
        sum(fish_count) filter (where is_inferred) as inferred_arrived_count
    from arriving
    where to_assignment_id is not null
    group by to_assignment_id
),

-- What leaves on the departure day is in int_departure_days.
inferred_departures as (
    select
        departing.from_assignment_id as assignment_id,
        sum(departing.fish_count) as inferred_departed_count
    from departing
    inner join assignments on departing.from_assignment_id = assignments.assignment_id
    where
        departing.is_inferred
        and departing.departed_date <= assignments.last_active_date
    group by departing.from_assignment_id
),

harvests as (
    select
        from_assignment_id as assignment_id,
        sum(fish_count) as harvested_count
    from departing
    where movement_type = 'harvest'
    group by from_assignment_id
),

-- Fish that arrived where nobody stays, and did not pass on.
stranded as (
    select
        assignments.assignment_id,
        sum(arriving.fish_count) as arrived_count
    from assignments
    inner join arriving on assignments.assignment_id = arriving.to_assignment_id
    where assignments.departure_date = assignments.assignment_date
    group by assignments.assignment_id
),

summed as (
    select
        growth_states.assignment_id,
        max(growth_states.state_date) as last_state_date,
        sum(growth_states.arrived_count) as arrived_count,
        sum(growth_states.departed_count) as departed_count,
        sum(growth_states.mortality_count) as mortality_count,
        sum(growth_states.count_adjustment) as count_adjustment,
        max(
            case
                when growth_states.state_date = assignments.last_active_date
                    then growth_states.population
            end
        ) as last_population
    from growth_states
    inner join assignments on growth_states.assignment_id = assignments.assignment_id
    group by growth_states.assignment_id

    union all

    select
        assignment_id,
        null as last_state_date,
        arrived_count,
        0 as departed_count,
        0 as mortality_count,
        0 as count_adjustment,
        arrived_count as last_population
    from stranded
),

final as (
    select
        summed.assignment_id,
        summed.last_state_date,
        coalesce(arrivals.stocked_count, 0)::bigint as stocked_count,
        coalesce(arrivals.inferred_arrived_count, 0)::bigint as inferred_arrived_count,
        summed.arrived_count::bigint as arrived_count,
        coalesce(inferred_departures.inferred_departed_count, 0)::bigint
            as inferred_departed_count,
        summed.departed_count::bigint as departed_count,
        coalesce(harvests.harvested_count, 0)::bigint as harvested_count,
        summed.mortality_count::bigint as mortality_count,
        summed.count_adjustment::bigint as count_adjustment,
        summed.last_population::bigint as last_population
    from summed
    left join arrivals on summed.assignment_id = arrivals.assignment_id
    left join inferred_departures
        on summed.assignment_id = inferred_departures.assignment_id
    left join harvests on summed.assignment_id = harvests.assignment_id
)

select * from final
