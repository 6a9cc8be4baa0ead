-- One row per assignment.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
        {'columns': ['batch_id']},
    ],
) }}

with assignments as (
    select * from {{ pending('int_assignments', 'assignments') }}
),

stocking as (
    select * from {{ pending('int_stocking', 'assignments') }}
),

balances as (
    select * from {{ pending('int_assignment_balances', 'assignments') }}
),

departures as (
    select * from {{ pending('int_departure_days', 'assignments') }}
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

final as (
    select
        -- which
        assignments.batch_id,
        batches.batch_number,
        assignments.assignment_id,
        assignments.container_id,
        containers.container_name,
        assignments.assignment_date,
        assignments.departure_date,
        balances.last_state_date,
        coalesce(assignments.end_date <= {{ as_of_date() }}, false) as is_finished,

        -- how it began
        stocking.stocking_source,
        stocking.rebuilt_count,
        stocking.rebuilt_from,
        assignments.population_count as recorded_population_count,
        case when balances.stocked_count > 0 then stocking.start_weight_g end::numeric(12, 4)
            as start_weight_g,
        case when balances.stocked_count > 0 then stocking.start_weight_source end
            as start_weight_source,

        -- what happened on its days
        coalesce(balances.stocked_count, 0) as stocked_count,
        coalesce(balances.inferred_arrived_count, 0) as inferred_arrived_count,
        coalesce(balances.arrived_count, 0) as arrived_count,
        coalesce(balances.inferred_departed_count, 0) as inferred_departed_count,
        coalesce(balances.departed_count, 0) as departed_count,
        coalesce(balances.harvested_count, 0) as harvested_count,
        coalesce(balances.mortality_count, 0) as mortality_count,
        coalesce(balances.count_adjustment, 0) as count_adjustment,
        balances.last_population,

        -- what left on the departure day, against the last day's number
        departures.transferred_count as departure_transferred_count,
        departures.inferred_count as departure_inferred_count,
        departures.transfer_mortality_count as departure_transfer_mortality_count,
        departures.harvested_count as departure_harvested_count,
        departures.mortality_count as departure_mortality_count,
        departures.left_count as departure_left_count,
        departures.left_count - balances.last_population as departure_count_adjustment,
        (
            100.0 * (departures.left_count - balances.last_population)
            / nullif(balances.last_population, 0)
        )::numeric(14, 2) as departure_count_adjustment_percent,

        -- what was never said to leave
        case
            when
                assignments.departure_date is null
                and assignments.end_date <= {{ as_of_date() }}
                then balances.last_population
        end as remaining_count
    from assignments
    left join stocking on assignments.assignment_id = stocking.assignment_id
    left join balances on assignments.assignment_id = balances.assignment_id
    left join departures on assignments.assignment_id = departures.assignment_id
    left join batches on assignments.batch_id = batches.batch_id
    left join containers on assignments.container_id = containers.container_id
)

select * from final
