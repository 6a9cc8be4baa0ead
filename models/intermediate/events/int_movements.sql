-- One row per movement between where fish were the day before and where they end the day, up to
-- the as-of date: one-day chains (tank to vessel to pen) are composed, so that no movement
-- starts in an assignment on its first day.
{{ config(
    meta={
        'examined_by': [
            'from_assignment_id', 'to_assignment_id', 'recorded_from_assignment_id'
        ],
    },
    indexes=[
        {'columns': ['from_assignment_id', 'arrived_date']},
        {'columns': ['to_assignment_id', 'arrived_date']},
        {'columns': ['recorded_from_assignment_id']},
    ],
) }}

with recursive

legs as (
    select * from {{ examined('int_movement_legs') }}
    where arrived_date <= {{ as_of_date() }}
),

stocking as (
    select * from {{ examined('int_stocking') }}
),

passing as (
    select
        *,
        row_number() over (
            partition by from_assignment_id order by movement_type, record_id
        ) as leg_number
    from legs
    where is_passing_through
),

-- Through how many stops fish can have come to a stop; cycles were rejected.
stop_depths as (
    select
        from_assignment_id as assignment_id,
        departed_date as stop_date,
        0 as depth
    from passing

    union

    select
        onward.from_assignment_id as assignment_id,
        onward.departed_date as stop_date,
        stop_depths.depth + 1 as depth
    from stop_depths
    inner join passing
        on stop_depths.assignment_id = passing.from_assignment_id
    inner join passing as onward
        on
            passing.to_assignment_id = onward.from_assignment_id
            and passing.arrived_date = onward.departed_date
),

deepest as (
    select
        assignment_id,
        max(depth) as depth
    from stop_depths
    group by assignment_id
),

-- In which turn a leg draws on the fish in its stop: after all that lead there, one by one.
turns as (
    select
        passing.*,
        dense_rank() over (order by deepest.depth, passing.leg_number) as turn
    from passing
    inner join deepest on passing.from_assignment_id = deepest.assignment_id
),

stops as (
    select
        from_assignment_id as assignment_id,
        departed_date as stop_date,
        max(turn) as last_turn
    from turns
    group by from_assignment_id, departed_date
),

-- Groups of fish of one origin, turn by turn: those that others bring to the stops, and those
-- that walk on. What no leg brought comes from outside, with the stop's start weight.
brought as (
    select
        legs.leg_key as movement_key,
        legs.movement_type,
        legs.from_assignment_id,
        legs.to_assignment_id,
        legs.from_assignment_id as recorded_from_assignment_id,
        legs.departed_date,
        legs.arrived_date,
        legs.fish_count as arrived_count,
        legs.fish_count as left_count,
        legs.weight_g,
        legs.is_inferred,
        legs.raw_table,
        legs.record_id,
        array[legs.record_id] as record_ids,
        stops.last_turn
    from legs
    inner join stops
        on
            legs.to_assignment_id = stops.assignment_id
            and legs.arrived_date = stops.stop_date
    where not legs.is_passing_through

    union all

    select
        'stocking:none' as movement_key,
        'stocking' as movement_type,
        null::bigint as from_assignment_id,
        stops.assignment_id as to_assignment_id,
        null::bigint as recorded_from_assignment_id,
        stops.stop_date as departed_date,
        stops.stop_date as arrived_date,
        1::bigint as arrived_count,
        0::bigint as left_count,
        stocking.start_weight_g as weight_g,
        false as is_inferred,
        null::text as raw_table,
        null::bigint as record_id,
        array[]::bigint[] as record_ids,
        stops.last_turn
    from stops
    inner join stocking on stops.assignment_id = stocking.assignment_id
    where
        not exists (
            select 1 from legs
            where
                legs.to_assignment_id = stops.assignment_id
                and legs.arrived_date = stops.stop_date
        )
),

-- In its turn a leg takes from each group in the stop, in proportion to what is left of it: so
-- no group gives more than it brought while there is enough, and all that arrived is accounted
-- for to the fish.
groups as (
    select
        0::bigint as turn,
        *
    from brought

    union all

    (
        with

        weighted as (
            select
                groups.*,
                turns.leg_key,
                turns.movement_type as leg_movement_type,
                turns.to_assignment_id as leg_to_assignment_id,
                turns.arrived_date as leg_arrived_date,
                turns.fish_count as leg_fish_count,
                turns.weight_g as leg_weight_g,
                turns.is_inferred as is_leg_inferred,
                turns.raw_table as leg_raw_table,
                turns.record_id as leg_record_id,
                onward.last_turn as onward_last_turn,
                case
                    when sum(groups.left_count) over in_stop > 0 then groups.left_count
                    else groups.arrived_count
                end as weight,
                case
                    when sum(groups.left_count) over in_stop > 0
                        then sum(groups.left_count) over in_stop
                    else sum(groups.arrived_count) over in_stop
                end::bigint as total_weight
            from groups
            left join turns
                on
                    groups.to_assignment_id = turns.from_assignment_id
                    and groups.turn + 1 = turns.turn
            left join stops as onward
                on
                    turns.to_assignment_id = onward.assignment_id
                    and turns.arrived_date = onward.stop_date
            where groups.turn < groups.last_turn
            window in_stop as (partition by groups.to_assignment_id)
        ),

        drawn as (
            select
                *,
                case
                    when leg_key is null then 0
                    else ({{ whole_share(
                        'leg_fish_count',
                        'leg_fish_count * weight / total_weight',
                        'leg_fish_count * weight % total_weight',
                        'to_assignment_id',
                        'from_assignment_id nulls last, movement_type, record_ids'
                    ) }})::bigint
                end as passed_count
            from weighted
        )

        -- what is left of a group
        select
            turn + 1 as turn,
            movement_key,
            movement_type,
            from_assignment_id,
            to_assignment_id,
            recorded_from_assignment_id,
            departed_date,
            arrived_date,
            arrived_count,
            greatest(left_count - passed_count, 0) as left_count,
            weight_g,
            is_inferred,
            raw_table,
            record_id,
            record_ids,
            last_turn
        from drawn

        union all

        -- what of it walks on
        select
            turn + 1 as turn,
            leg_key || '<' || movement_key as movement_key,
            leg_movement_type as movement_type,
            from_assignment_id,
            leg_to_assignment_id as to_assignment_id,
            to_assignment_id as recorded_from_assignment_id,
            departed_date,
            leg_arrived_date as arrived_date,
            passed_count as arrived_count,
            passed_count as left_count,
            coalesce(leg_weight_g, weight_g) as weight_g,
            is_leg_inferred or is_inferred as is_inferred,
            leg_raw_table as raw_table,
            leg_record_id as record_id,
            leg_record_id || record_ids as record_ids,
            onward_last_turn as last_turn
        from drawn
        where passed_count > 0
    )
),

-- Each group as its last turn left it.
composed as (
    select distinct on (movement_key, to_assignment_id) *
    from groups
    order by movement_key asc, to_assignment_id asc, turn desc
),

over_night as (
    select legs.*
    from legs
    left join stops
        on
            legs.to_assignment_id = stops.assignment_id
            and legs.arrived_date = stops.stop_date
    where not legs.is_passing_through and stops.assignment_id is null
),

final as (
    select
        leg_key as movement_key,
        movement_type,
        from_assignment_id,
        to_assignment_id,
        from_assignment_id as recorded_from_assignment_id,
        departed_date,
        arrived_date,
        fish_count,
        weight_g,
        is_inferred,
        raw_table,
        record_id
    from over_night

    union all

    select
        movement_key,
        movement_type,
        from_assignment_id,
        to_assignment_id,
        recorded_from_assignment_id,
        departed_date,
        arrived_date,
        left_count as fish_count,
        weight_g,
        is_inferred,
        raw_table,
        record_id
    from composed
    where left_count > 0
)

select * from final
