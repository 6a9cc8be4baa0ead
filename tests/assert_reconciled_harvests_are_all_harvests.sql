-- Every assignment with harvested fish is reconciled, with all fish of its lots, and with the
-- figures of its whole stay. Fish that were harvested where they arrived on the same day passed
-- through: population_reconciliation counts them where they came from, and a stop through which all
-- of them passed has no figures.
with reconciled as (
    select * from {{ ref('harvest_reconciliation') }}
    where assignment_id is not null
),

lots as (
    select
        harvests.assignment_id,
        sum(harvests.harvested_count) as harvested_count,
        coalesce(
            sum(harvests.harvested_count)
            filter (where harvests.harvest_date > assignments.assignment_date),
            0
        ) as stayed_count
    from {{ ref('int_harvests') }} as harvests
    inner join {{ ref('int_assignments') }} as assignments
        on harvests.assignment_id = assignments.assignment_id
    group by harvests.assignment_id
),

passed_on as (
    select
        from_assignment_id as assignment_id,
        sum(fish_count) as fish_count
    from {{ ref('int_movements') }}
    where
        movement_type = 'harvest'
        and movement_key like '%<%'
    group by from_assignment_id
),

balances as (
    select
        population_reconciliation.assignment_id,
        population_reconciliation.is_finished,
        population_reconciliation.last_state_date,
        population_reconciliation.harvested_count,
        coalesce(passed_on.fish_count, 0) as passed_on_count
    from {{ ref('population_reconciliation') }}
    left join passed_on on population_reconciliation.assignment_id = passed_on.assignment_id
),

figures as (
    select * from {{ ref('production_figures') }}
    where period_type = 'life'
),

final as (
    select
        balances.assignment_id,
        reconciled.harvested_count,
        lots.harvested_count as lots_harvested_count,
        balances.harvested_count as balanced_harvested_count,
        figures.harvested_count as figures_harvested_count
    from balances
    full join lots on balances.assignment_id = lots.assignment_id
    full join reconciled on balances.assignment_id = reconciled.assignment_id
    left join figures on balances.assignment_id = figures.assignment_id
    where
        (
            reconciled.harvested_count is not distinct from lots.harvested_count
            and balances.harvested_count
            = coalesce(lots.stayed_count, 0) + balances.passed_on_count
            and (
                reconciled.assignment_id is null
                or (balances.last_state_date is null and figures.assignment_id is null)
                or (
                    reconciled.harvested_count = figures.harvested_count
                    and reconciled.economic_fcr is not distinct from figures.economic_fcr
                )
            )
            and (
                reconciled.assignment_id is null
                or reconciled.is_finished = balances.is_finished
            )
        ) is not true
)

select * from final
