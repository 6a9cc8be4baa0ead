-- One row per assignment and period (week, month, anchor window, life): the sums of its spans,
-- where the first began and where the last ended, unrounded.
--
-- An anchor window ends with an anchor, and begins on the day after the one before. The day on
-- which an assignment has ended belongs to the window of its last day.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['assignment_id', 'period_type', 'period_start_date'], 'unique': true},
        {'columns': ['batch_id']},
    ],
) }}

with spans as (
    select * from {{ pending('int_production_spans', 'assignments') }}
),

-- To look single ones up, by the index.
all_spans as not materialized (
    select * from {{ ref('int_production_spans') }}
),

harvests as (
    select * from {{ ref('int_harvests') }}
),

containers as (
    select
        container_id,
        nullif(volume_m3, 0) as volume_m3,
        nullif(max_biomass_kg, 0) as max_biomass_kg
    from {{ ref('stg_containers') }}
),

-- The anchor that ended the window before.
after_anchors as (
    select
        *,
        max(case when is_anchored then span_end_date end) over (
            partition by assignment_id
            order by span_start_date
            rows between unbounded preceding and 1 preceding
        ) as anchor_before,
        min(span_start_date) over (partition by assignment_id) as first_date
    from spans
),

windowed as (
    select
        *,
        case
            when days_covered > 0 then anchor_before
            else lag(anchor_before) over (partition by assignment_id order by span_start_date)
        end as window_anchor_date
    from after_anchors
),

in_periods as (
    select
        windowed.*,
        periods.period_type,
        periods.period_start_date
    from windowed
    cross join lateral (
        values
        ('week', windowed.week_start_date),
        ('month', windowed.month_start_date),
        ('anchor_window', coalesce(windowed.window_anchor_date + 1, windowed.first_date)),
        ('life', windowed.first_date)
    ) as periods (period_type, period_start_date)
),

summed as (
    select
        batch_id,
        assignment_id,
        container_id,
        period_type,
        period_start_date,
        min(span_start_date) as first_span_date,
        max(span_start_date) as last_span_date,
        max(span_end_date) as period_end_date,
        max(last_state_date) as last_state_date,
        max(span_start_date) filter (where days_covered > 0) as last_state_span_date,
        sum(days_covered)::bigint as days_covered,
        bool_or(is_anchored) as has_anchor,
        max(window_anchor_date) as window_anchor_date,
        max(highest_biomass_kg) as highest_biomass_kg,
        sum(biomass_days_kg) as biomass_days_kg,
        sum(degree_days) as degree_days,
        sum(feed_kg) as feed_kg,
        sum(days_with_feed)::bigint as days_with_feed,
        sum(growth_kg) as growth_kg,
        case when count(*) = count(expected_feed_kg) then sum(expected_feed_kg) end
            as expected_feed_kg,
        sum(mortality_count)::bigint as mortality_count,
        sum(recorded_mortality_count)::bigint as recorded_mortality_count,
        sum(mortality_biomass_kg) as mortality_biomass_kg,
        sum(reset_kg) as reset_kg,
        sum(arrived_count)::bigint as arrived_count,
        sum(arrived_biomass_kg) as arrived_biomass_kg,
        sum(exchanged_count)::bigint as exchanged_count,
        sum(exchanged_biomass_kg) as exchanged_biomass_kg,
        sum(departed_count)::bigint as departed_count,
        sum(departed_biomass_kg) as departed_biomass_kg,
        sum(count_adjustment)::bigint as count_adjustment,
        sum(adjustment_kg) as adjustment_kg,
        min(lowest_weight_confidence) as lowest_weight_confidence
    from in_periods
    group by batch_id, assignment_id, container_id, period_type, period_start_date
),

harvested as (
    select
        summed.assignment_id,
        summed.period_type,
        summed.period_start_date,
        sum(harvests.harvested_count)::bigint as harvested_count,
        sum(harvests.live_weight_kg) as harvested_live_weight_kg
    from summed
    inner join harvests
        on
            summed.assignment_id = harvests.assignment_id
            and harvests.harvest_date between summed.period_start_date and summed.period_end_date
    group by summed.assignment_id, summed.period_type, summed.period_start_date
),

-- Of few batches the planner knows so little that it would go through all for each of them.
placed as {{ 'materialized' if is_scoped() else 'not materialized' }} (
    select
        summed.*,
        containers.volume_m3,
        containers.max_biomass_kg,
        harvested.harvested_count,
        harvested.harvested_live_weight_kg
    from summed
    left join containers on summed.container_id = containers.container_id
    left join harvested
        on
            summed.assignment_id = harvested.assignment_id
            and summed.period_type = harvested.period_type
            and summed.period_start_date = harvested.period_start_date
),

final as (
    select
        placed.batch_id,
        placed.assignment_id,
        placed.container_id,
        last_state_spans.lifecycle_stage_id,
        placed.period_type,
        placed.period_start_date,
        placed.period_end_date,
        placed.last_state_date,
        placed.days_covered,
        -- between two anchors: the window begins after one and ends with one
        placed.period_type = 'anchor_window'
        and placed.has_anchor
        and placed.window_anchor_date is not null as is_between_anchors,
        starts.start_population,
        starts.start_weight_g,
        starts.start_biomass_kg,
        last_state_spans.population,
        case when last_state_spans.population > 0 then last_state_spans.weight_g end
            as weight_g,
        last_state_spans.biomass_kg,
        ends.end_population,
        ends.end_biomass_kg,
        placed.volume_m3,
        placed.max_biomass_kg,
        placed.highest_biomass_kg / placed.volume_m3::double precision
            as highest_density_kg_per_m3,
        100 * placed.highest_biomass_kg / placed.max_biomass_kg::double precision
            as highest_biomass_limit_percent,
        placed.biomass_days_kg,
        placed.degree_days,
        placed.feed_kg,
        placed.days_with_feed,
        placed.growth_kg,
        placed.expected_feed_kg,
        placed.mortality_count,
        placed.recorded_mortality_count,
        placed.mortality_biomass_kg,
        placed.reset_kg,
        placed.arrived_count,
        placed.arrived_biomass_kg,
        placed.exchanged_count,
        placed.exchanged_biomass_kg,
        placed.departed_count,
        placed.departed_biomass_kg,
        placed.count_adjustment,
        placed.adjustment_kg,
        coalesce(placed.harvested_count, 0) as harvested_count,
        placed.harvested_live_weight_kg,
        placed.lowest_weight_confidence
    from placed
    inner join all_spans as starts
        on
            placed.assignment_id = starts.assignment_id
            and placed.first_span_date = starts.span_start_date
    inner join all_spans as ends
        on
            placed.assignment_id = ends.assignment_id
            and placed.last_span_date = ends.span_start_date
    left join all_spans as last_state_spans
        on
            placed.assignment_id = last_state_spans.assignment_id
            and placed.last_state_span_date = last_state_spans.span_start_date
)

select * from final
