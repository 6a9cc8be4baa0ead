-- One row per assignment and ISO week in which it has a state: the week's sums, its first and
-- its last day, unrounded.
{{ config(
    meta={'published_by': 'assignment_weeks'},
    indexes=[
        {'columns': ['assignment_id', 'week_start_date'], 'unique': true},
    ],
) }}

with daily_measures as (
    select * from {{ pending(
        'int_daily_measures', 'assignments', day='state_date', since='week_before'
    ) }}
),

dated as (
    select
        *,
        {{ week_start_date('state_date') }} as week_start_date
    from daily_measures
),

summed as (
    select
        batch_id,
        assignment_id,
        container_id,
        week_start_date,
        max(state_date) as last_state_date,
        count(*) as days_covered,
        (array_agg(lifecycle_stage_id order by state_date))[count(*)] as lifecycle_stage_id,
        (array_agg(population order by state_date))[count(*)] as population,
        (array_agg(weight_g order by state_date))[count(*)] as weight_g,
        (array_agg(start_count order by state_date))[1] as first_start_count,
        (array_agg(mixed_weight_g order by state_date))[1] as first_mixed_weight_g,
        avg(temp_c::numeric)::double precision as temp_c,
        sum(greatest(temp_c, 0)::numeric) as degree_days,
        sum(mortality_count)::bigint as mortality_count,
        sum(feed_kg) as feed_kg,
        count(feed_kg) as days_with_feed,
        sum(gain_kg::numeric) as gain_kg,
        sum(arrived_count)::bigint as arrived_count,
        sum(departed_count)::bigint as departed_count,
        sum(count_adjustment)::bigint as count_adjustment,
        count(anchor_type) as anchor_count,
        min(weight_confidence) as lowest_weight_confidence
    from dated
    group by assignment_id, week_start_date, batch_id, container_id
),

final as (
    select
        batch_id,
        assignment_id,
        container_id,
        lifecycle_stage_id,
        week_start_date,
        last_state_date,
        days_covered,
        population,
        weight_g,
        -- Yesterday's weight; on an assignment's first day that of the fish before they grew.
        -- The weight of an empty container is no fish's weight.
        case
            when lag(assignment_id) over assignment_weeks is null
                then case when first_start_count > 0 then first_mixed_weight_g end
            when lag(population) over assignment_weeks > 0
                then lag(weight_g) over assignment_weeks
        end as start_weight_g,
        temp_c,
        degree_days,
        mortality_count,
        feed_kg,
        days_with_feed,
        gain_kg,
        arrived_count,
        departed_count,
        count_adjustment,
        anchor_count,
        lowest_weight_confidence
    from summed
    window assignment_weeks as (partition by assignment_id order by week_start_date)
)

select * from {{ pending_weeks('final', 'assignments') }}
