-- One row per movement between where fish were the day before and where they end the day, up to
-- the as-of date: one-day chains (tank to vessel to pen) are composed, so that no movement
-- starts in an assignment on its first day.
{{ config(
    indexes=[
        {'columns': ['from_assignment_id', 'arrived_date']},
        {'columns': ['to_assignment_id', 'arrived_date']},
    ],
) }}

with recursive

legs as (
    select * from {{ ref('int_movement_legs') }}
    where arrived_date <= {{ as_of_date() }}
),

stocking as (
    select * from {{ ref('int_stocking') }}
),

passing as (
    select
        *,
        row_number() over (partition by from_assignment_id order by leg_key) as passing_rank
    from legs
    where is_passing_through
),

passed_assignments as (
    select distinct
        from_assignment_id as assignment_id,
        departed_date
    from passing
),

-- What feeds an assignment on its first day. Where nothing does, its start weight and no fish.
feeders as (
    select
        passed_assignments.assignment_id,
        legs.leg_key,
        legs.from_assignment_id,
        legs.departed_date,
        legs.weight_g,
        legs.is_inferred,
        legs.is_passing_through,
        legs.fish_count
    from passed_assignments
    inner join legs
        on
            passed_assignments.assignment_id = legs.to_assignment_id
            and passed_assignments.departed_date = legs.arrived_date

    union all

    select
        stocking.assignment_id,
        'stocking:none' as leg_key,
        null::bigint as from_assignment_id,
        stocking.assignment_date as departed_date,
        stocking.start_weight_g as weight_g,
        false as is_inferred,
        false as is_passing_through,
        1::bigint as fish_count
    from passed_assignments
    inner join stocking on passed_assignments.assignment_id = stocking.assignment_id
    where
        not exists (
            select 1 from legs
            where
                legs.to_assignment_id = passed_assignments.assignment_id
                and legs.arrived_date = passed_assignments.departed_date
        )
),

-- The passing legs draw one after the other on what the feeders have brought, in proportion to
-- what is left of each: so no feeder gives more than it brought while there is enough, and all
-- that arrived is accounted for to the fish.
draw as (
    select
        assignment_id,
        leg_key as feeder_leg_key,
        from_assignment_id,
        fish_count as brought_count,
        fish_count as left_count,
        null::text as passing_leg_key,
        0::bigint as passing_rank,
        0::bigint as passed_count
    from feeders

    union all

    select
        assignment_id,
        feeder_leg_key,
        from_assignment_id,
        brought_count,
        greatest(left_count - passed_count, 0) as left_count,
        passing_leg_key,
        passing_rank,
        passed_count
    from (
        select
            *,
            ({{ whole_share(
                'amount',
                'amount * weight / total_weight',
                'amount * weight % total_weight',
                'assignment_id',
                'from_assignment_id nulls last, feeder_leg_key'
            ) }})::bigint as passed_count
        from (
            select
                draw.assignment_id,
                draw.feeder_leg_key,
                draw.from_assignment_id,
                draw.brought_count,
                draw.left_count,
                passing.leg_key as passing_leg_key,
                passing.passing_rank,
                passing.fish_count as amount,
                case
                    when sum(draw.left_count) over (partition by draw.assignment_id) > 0
                        then draw.left_count
                    else draw.brought_count
                end as weight,
                case
                    when sum(draw.left_count) over (partition by draw.assignment_id) > 0
                        then sum(draw.left_count) over (partition by draw.assignment_id)
                    else sum(draw.brought_count) over (partition by draw.assignment_id)
                end::bigint as total_weight
            from draw
            inner join passing
                on
                    draw.assignment_id = passing.from_assignment_id
                    and draw.passing_rank + 1 = passing.passing_rank
        ) as weighted
    ) as shared
),

passes as (
    select
        draw.passing_leg_key,
        draw.feeder_leg_key,
        draw.passed_count,
        passing.fish_count as passing_count,
        feeders.from_assignment_id,
        feeders.departed_date,
        feeders.weight_g,
        feeders.is_inferred,
        feeders.is_passing_through
    from draw
    inner join passing on draw.passing_leg_key = passing.leg_key
    inner join feeders
        on
            draw.assignment_id = feeders.assignment_id
            and draw.feeder_leg_key = feeders.leg_key
    where draw.passed_count > 0
),

passed_on as (
    select
        feeder_leg_key,
        sum(passed_count)::bigint as passed_count
    from passes
    group by feeder_leg_key
),

-- Every leg with the fish that end the day where it ends, followed back to where they were the
-- day before.
walk as (
    select
        legs.leg_key as movement_leg_key,
        legs.leg_key as last_leg_key,
        legs.leg_key as path,
        legs.from_assignment_id,
        legs.departed_date,
        legs.weight_g,
        legs.is_inferred,
        legs.is_passing_through,
        greatest(legs.fish_count - coalesce(passed_on.passed_count, 0), 0)::bigint as fish_count
    from legs
    left join passed_on on legs.leg_key = passed_on.feeder_leg_key

    union all

    select
        step.movement_leg_key,
        step.feeder_leg_key as last_leg_key,
        step.path || '<' || step.feeder_leg_key as path,
        step.from_assignment_id,
        step.departed_date,
        step.weight_g,
        step.is_inferred,
        step.is_passing_through,
        ({{ whole_share(
            'step.amount',
            'step.amount * step.passed_count / step.passing_count',
            'step.amount * step.passed_count % step.passing_count',
            'step.path',
            'step.from_assignment_id nulls last, step.feeder_leg_key'
        ) }})::bigint as fish_count
    from (
        select
            walk.movement_leg_key,
            walk.path,
            passes.feeder_leg_key,
            passes.from_assignment_id,
            passes.departed_date,
            coalesce(walk.weight_g, passes.weight_g) as weight_g,
            walk.is_inferred or passes.is_inferred as is_inferred,
            passes.is_passing_through,
            walk.fish_count as amount,
            passes.passed_count,
            passes.passing_count
        from walk
        inner join passes on walk.last_leg_key = passes.passing_leg_key
        where walk.is_passing_through and walk.fish_count > 0
    ) as step
),

final as (
    select
        walk.path as movement_key,
        legs.movement_type,
        walk.from_assignment_id,
        legs.to_assignment_id,
        walk.departed_date,
        legs.arrived_date,
        walk.fish_count,
        walk.weight_g,
        walk.is_inferred,
        legs.raw_table,
        legs.record_id
    from walk
    inner join legs on walk.movement_leg_key = legs.leg_key
    where not walk.is_passing_through and walk.fish_count > 0
)

select * from final
