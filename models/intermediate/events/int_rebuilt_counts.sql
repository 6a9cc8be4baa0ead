-- One row per assignment: the number of fish with which it must have begun, rebuilt from what is
-- recorded about its end (growth model, section 5). population_count is a live column: it holds
-- what was left at the last write. Uses every record, also those after the as-of date.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with assignments as (
    select * from {{ examined('int_assignments') }}
),

transfers as (
    select * from {{ examined('int_transfer_actions_checked') }} where reject_reason is null
),

creation_actions as (
    select * from {{ examined('int_creation_actions_checked') }} where reject_reason is null
),

deaths as (
    select * from {{ examined('int_assignment_day_deaths') }}
),

harvests as (
    select
        assignment_id,
        max(harvest_date) as last_harvest_date,
        sum(fish_count)::bigint as harvested_count
    from {{ examined('int_harvest_lots_checked') }}
    where reject_reason is null
    group by assignment_id
),

first_transfers_out as (
    select distinct on (source_assignment_id)
        source_assignment_id as assignment_id,
        departed_date as first_transfer_date,
        source_population_before
    from transfers
    order by source_assignment_id, departed_date, transfer_action_id
),

-- Up to which day the records count: before the first transfer, up to the last harvest, or all.
ends as (
    select
        assignments.assignment_id,
        assignments.assignment_date,
        case
            when first_transfers_out.source_population_before is not null then 'transfer_out'
            when
                harvests.assignment_id is not null
                and (
                    assignments.departure_date <= {{ last_known_date() }}
                    or not assignments.is_active
                )
                then 'harvest'
            else 'population_count'
        end as rebuilt_from,
        first_transfers_out.first_transfer_date,
        first_transfers_out.source_population_before,
        harvests.last_harvest_date,
        harvests.harvested_count,
        coalesce(assignments.population_count, 0) as population_count
    from assignments
    left join first_transfers_out
        on assignments.assignment_id = first_transfers_out.assignment_id
    left join harvests on assignments.assignment_id = harvests.assignment_id
),

counted as (
    select
        *,
        case rebuilt_from
            when 'transfer_out' then source_population_before
            when 'harvest' then harvested_count
            else population_count
        end as counted_fish,
        case rebuilt_from
            when 'transfer_out' then first_transfer_date - 1
            when 'harvest' then last_harvest_date
            else 'infinity'::date
        end as last_counted_date
    from ends
),

deaths_counted as (
    select
        counted.assignment_id,
        sum(deaths.recorded_deaths)::bigint as death_count
    from counted
    inner join deaths
        on
            counted.assignment_id = deaths.assignment_id
            and counted.last_counted_date >= deaths.event_date
    group by counted.assignment_id
),

arrivals as (
    select
        dest_assignment_id as assignment_id,
        arrived_date,
        transferred_count as fish_count
    from transfers

    union all

    select
        assignment_id,
        arrived_date,
        fish_count
    from creation_actions
),

later_arrivals as (
    select
        counted.assignment_id,
        sum(arrivals.fish_count)::bigint as arrived_count
    from counted
    inner join arrivals
        on
            counted.assignment_id = arrivals.assignment_id
            and counted.assignment_date < arrivals.arrived_date
            and counted.last_counted_date >= arrivals.arrived_date
    group by counted.assignment_id
),

final as (
    select
        counted.assignment_id,
        counted.rebuilt_from,
        greatest(
            counted.counted_fish
            + coalesce(deaths_counted.death_count, 0)
            - coalesce(later_arrivals.arrived_count, 0),
            0
        ) as rebuilt_count
    from counted
    left join deaths_counted on counted.assignment_id = deaths_counted.assignment_id
    left join later_arrivals on counted.assignment_id = later_arrivals.assignment_id
)

select * from final
