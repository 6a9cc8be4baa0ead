-- One row per assignment whose departure day has come: the fish that left on that day, by kind.
-- The day itself has no state. What only passed through counts where it came from.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with departed as (
    select * from {{ examined('int_assignments') }}
    where departure_date <= {{ as_of_date() }}
),

movements as (
    select * from {{ examined('int_movements') }}
),

deaths as (
    select * from {{ examined('int_assignment_day_deaths') }}
),

moved as (
    select
        departed.assignment_id,
        sum(movements.fish_count) filter (where movements.movement_type = 'transfer')
            as transferred_count,
        sum(movements.fish_count) filter (where movements.movement_type = 'inferred')
            as inferred_count,
        sum(movements.fish_count) filter (where movements.movement_type = 'transfer_mortality')
            as transfer_mortality_count,
        sum(movements.fish_count) filter (where movements.movement_type = 'harvest')
            as harvested_count
    from departed
    inner join movements
        on
            departed.assignment_id = movements.from_assignment_id
            and departed.departure_date = movements.departed_date
    group by departed.assignment_id
),

counted as (
    select
        departed.assignment_id,
        coalesce(moved.transferred_count, 0)::bigint as transferred_count,
        coalesce(moved.inferred_count, 0)::bigint as inferred_count,
        coalesce(moved.transfer_mortality_count, 0)::bigint as transfer_mortality_count,
        coalesce(moved.harvested_count, 0)::bigint as harvested_count,
        coalesce(deaths.recorded_deaths, 0)::bigint as mortality_count
    from departed
    left join moved on departed.assignment_id = moved.assignment_id
    left join deaths
        on
            departed.assignment_id = deaths.assignment_id
            and departed.departure_date = deaths.event_date
),

final as (
    select
        *,
        transferred_count
        + inferred_count
        + transfer_mortality_count
        + harvested_count
        + mortality_count as left_count
    from counted
)

select * from final
