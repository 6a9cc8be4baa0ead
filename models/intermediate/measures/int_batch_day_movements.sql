-- One row per batch and day on which its number changes otherwise than by its states' deaths:
-- what crosses the batch's border, and what its departing assignments leave unexplained. A move
-- between two containers of the batch on one day is no change of the batch.
{{ config(
    meta={'published_by': 'batches'},
    indexes=[
        {'columns': ['batch_id', 'state_date'], 'unique': true},
    ],
) }}

with assignments as (
    select * from {{ pending('int_assignments', 'batches') }}
),

movements as (
    select * from {{ ref('int_movements') }}
),

all_assignments as (
    select * from {{ ref('int_assignments') }}
),

balances as (
    select * from {{ ref('int_assignment_balances') }}
),

departure_days as (
    select * from {{ ref('int_departure_days') }}
),

arrivals as (
    select
        assignments.batch_id,
        movements.arrived_date as state_date,
        movements.fish_count as arrived_count,
        0 as departed_count,
        0 as mortality_count,
        0 as count_adjustment
    from assignments
    inner join movements on assignments.assignment_id = movements.to_assignment_id
    left join all_assignments as sources
        on movements.from_assignment_id = sources.assignment_id
    where
        (
            assignments.batch_id = sources.batch_id
            and movements.departed_date = movements.arrived_date
        )
        is not true
),

departures as (
    select
        assignments.batch_id,
        movements.departed_date as state_date,
        0 as arrived_count,
        movements.fish_count as departed_count,
        0 as mortality_count,
        0 as count_adjustment
    from assignments
    inner join movements on assignments.assignment_id = movements.from_assignment_id
    left join all_assignments as destinations
        on movements.to_assignment_id = destinations.assignment_id
    where
        (
            assignments.batch_id = destinations.batch_id
            and movements.departed_date = movements.arrived_date
        )
        is not true
),

-- On the departure day: deaths, and what left against the last number.
departing as (
    select
        assignments.batch_id,
        assignments.departure_date as state_date,
        0 as arrived_count,
        0 as departed_count,
        departure_days.mortality_count,
        departure_days.left_count - coalesce(balances.last_population, 0) as count_adjustment
    from assignments
    inner join departure_days on assignments.assignment_id = departure_days.assignment_id
    left join balances on assignments.assignment_id = balances.assignment_id
),

-- Fish that were never said to leave are gone on the day after the last.
remaining as (
    select
        assignments.batch_id,
        assignments.end_date + 1 as state_date,
        0 as arrived_count,
        0 as departed_count,
        0 as mortality_count,
        -balances.last_population as count_adjustment
    from assignments
    inner join balances on assignments.assignment_id = balances.assignment_id
    where
        assignments.departure_date is null
        and assignments.end_date < {{ as_of_date() }}
),

changes as (
    select * from arrivals
    union all
    select * from departures
    union all
    select * from departing
    union all
    select * from remaining
),

final as (
    select
        batch_id,
        state_date,
        sum(arrived_count)::bigint as arrived_count,
        sum(departed_count)::bigint as departed_count,
        sum(mortality_count)::bigint as departure_mortality_count,
        sum(count_adjustment)::bigint as departure_count_adjustment
    from changes
    group by batch_id, state_date
)

select * from final
