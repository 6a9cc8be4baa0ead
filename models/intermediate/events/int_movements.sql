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
    select * from legs where is_passing_through
),

-- What feeds an assignment on its first day. Where nothing does, its start weight and no fish.
passed_assignments as (
    select distinct
        passing.from_assignment_id as assignment_id,
        passing.departed_date
    from passing
),

feeders as (
    select
        passed_assignments.assignment_id,
        legs.leg_key,
        legs.from_assignment_id,
        legs.departed_date,
        legs.weight_g,
        legs.is_inferred,
        legs.is_passing_through,
        legs.fish_count,
        sum(legs.fish_count) over (
            partition by passed_assignments.assignment_id
        )::bigint as total_count
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
        1::bigint as fish_count,
        1::bigint as total_count
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

-- How many fish of each leg go straight on, out of the assignment that they arrive at.
passed_shares as (
    select
        feeders.leg_key,
        passing.leg_key as passing_leg_key,
        passing.fish_count as amount,
        feeders.from_assignment_id,
        passing.fish_count * feeders.fish_count / feeders.total_count as whole,
        passing.fish_count * feeders.fish_count % feeders.total_count as remainder
    from passing
    inner join feeders on passing.from_assignment_id = feeders.assignment_id
),

passed_counts as (
    select
        leg_key,
        sum(passed_count)::bigint as passed_count
    from (
        select
            leg_key,
            {{ whole_share(
                'amount', 'whole', 'remainder', 'passing_leg_key',
                'from_assignment_id nulls last, leg_key'
            ) }} as passed_count
        from passed_shares
    ) as shares
    group by leg_key
),

-- Every leg with the fish that end the day where it ends, followed back to where they were the
-- day before.
walk as (
    select
        legs.leg_key as movement_leg_key,
        legs.leg_key as path,
        legs.from_assignment_id,
        legs.departed_date,
        legs.weight_g,
        legs.is_inferred,
        legs.is_passing_through,
        greatest(legs.fish_count - coalesce(passed_counts.passed_count, 0), 0)::bigint as fish_count
    from legs
    left join passed_counts on legs.leg_key = passed_counts.leg_key

    union all

    select
        step.movement_leg_key,
        step.path || '<' || step.feeder_leg_key as path,
        step.from_assignment_id,
        step.departed_date,
        step.weight_g,
        step.is_inferred,
        step.is_passing_through,
        ({{ whole_share(
            'step.amount', 'step.whole', 'step.remainder', 'step.path',
            'step.from_assignment_id nulls last, step.feeder_leg_key'
        ) }})::bigint as fish_count
    from (
        select
            walk.movement_leg_key,
            walk.path,
            feeders.leg_key as feeder_leg_key,
            feeders.from_assignment_id,
            feeders.departed_date,
            coalesce(walk.weight_g, feeders.weight_g) as weight_g,
            walk.is_inferred or feeders.is_inferred as is_inferred,
            feeders.is_passing_through,
            walk.fish_count as amount,
            walk.fish_count * feeders.fish_count / feeders.total_count as whole,
            walk.fish_count * feeders.fish_count % feeders.total_count as remainder
        from walk
        inner join feeders on walk.from_assignment_id = feeders.assignment_id
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
