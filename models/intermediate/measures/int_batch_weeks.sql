-- One row per batch and ISO week in which it has a state: the week's sums over the batch's
-- days, and its last day as it was, unrounded. Fish that change container in mid-week are in
-- the last day's number once.
{{ config(
    meta={'published_by': 'batch_weeks'},
    indexes=[
        {'columns': ['batch_id', 'week_start_date'], 'unique': true},
    ],
) }}

with batch_days as (
    select * from {{ pending(
        'int_batch_days', 'batches', day='state_date', since='week_before'
    ) }}
),

dated as (
    select
        *,
        {{ week_start_date('state_date') }} as week_start_date
    from batch_days
),

summed as (
    select
        batch_id,
        week_start_date,
        min(state_date) as first_state_date,
        max(state_date) as last_state_date,
        count(*) as days_covered,
        avg(temp_c::numeric)::double precision as temp_c,
        sum(greatest(temp_c, 0)::numeric) as degree_days,
        sum(mortality_count)::bigint as mortality_count,
        sum(feed_kg) as feed_kg,
        count(feed_kg) as days_with_feed,
        sum(gain_kg) as gain_kg,
        sum(arrived_count)::bigint as arrived_count,
        sum(departed_count)::bigint as departed_count,
        sum(count_adjustment)::bigint as count_adjustment,
        sum(anchor_count)::bigint as anchor_count,
        min(lowest_weight_confidence) as lowest_weight_confidence
    from dated
    group by batch_id, week_start_date
),

final as (
    select
        summed.batch_id,
        last_days.lifecycle_stage_id,
        summed.week_start_date,
        summed.last_state_date,
        summed.days_covered,
        last_days.population,
        last_days.avg_weight_g,
        last_days.biomass_kg,
        last_days.container_count,
        last_days.smallest_container_weight_g,
        last_days.largest_container_weight_g,
        last_days.container_cv_percent,
        -- The batch's weight on the day before; where it had no state that day, that of the
        -- fish of the first day before they grew.
        case
            when days_before.batch_id is not null then days_before.avg_weight_g
            else first_days.start_weight_g
        end as start_weight_g,
        summed.temp_c,
        summed.degree_days,
        summed.mortality_count,
        summed.feed_kg,
        summed.days_with_feed,
        summed.gain_kg,
        summed.arrived_count,
        summed.departed_count,
        summed.count_adjustment,
        summed.anchor_count,
        summed.lowest_weight_confidence
    from summed
    -- by the table's index: of what is pending the planner knows no numbers
    inner join {{ ref('int_batch_days') }} as last_days
        on
            summed.batch_id = last_days.batch_id
            and summed.last_state_date = last_days.state_date
    inner join {{ ref('int_batch_days') }} as first_days
        on
            summed.batch_id = first_days.batch_id
            and summed.first_state_date = first_days.state_date
    left join {{ ref('int_batch_days') }} as days_before
        on
            summed.batch_id = days_before.batch_id
            and summed.first_state_date - 1 = days_before.state_date
)

select * from {{ pending_weeks('final', 'batches') }}
