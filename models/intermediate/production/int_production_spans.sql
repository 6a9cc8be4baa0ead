-- One row per assignment and span of days between cuts: each Monday, each first of a month, each
-- day after an anchor, and the day on which it has ended. Weeks, months, anchor windows and whole
-- lives are sums of spans; the days are read once, here. Those sums are numeric, and do not depend
-- on the order of the spans; within a span days are added in their order, which PostgreSQL 16 and
-- newer sort once for all aggregates.
--
-- Biomass at the end = at the start + arrived - departed + growth - dead + reset + adjusted.
{{ config(
    meta={'published_by': 'assignment_weeks'},
    indexes=[
        {'columns': ['assignment_id', 'span_start_date'], 'unique': true},
        {'columns': ['batch_id']},
    ],
    pre_hook="{{ 'set local enable_nestloop = off' if examines_many() }}",
) }}

with daily_measures as (
    select * from {{ pending(
        'int_daily_measures', 'assignments', day='state_date', since='week_before'
    ) }}
),

assignments as (
    select * from {{ pending('int_assignments', 'assignments') }}
),

ends as (
    select * from {{ pending(
        'int_assignment_ends', 'assignments', day='state_date', since='week_before'
    ) }}
),

movements as (
    select * from {{ pending(
        'int_assignment_day_movements', 'assignments', day='state_date', since='week_before'
    ) }}
),

anchors as (
    select * from {{ pending('int_anchors', 'assignments') }}
),

model_fcr as (
    select * from {{ ref('int_model_fcr') }}
),

week_anchors as (
    select
        assignment_id,
        {{ week_start_date('anchor_date') }} as week_start_date,
        array_agg(anchor_date order by anchor_date) as anchor_dates
    from anchors
    group by assignment_id, {{ week_start_date('anchor_date') }}
),

-- Fish that leave beyond those that were there in the morning are some of those that arrived.
measured as (
    select
        daily_measures.*,
        daily_measures.start_count
        * (daily_measures.modelled_weight_g - daily_measures.mixed_weight_g) / 1000 as growth_kg,
        daily_measures.mortality_count * daily_measures.modelled_weight_g / 1000
            as mortality_biomass_kg,
        daily_measures.population
        * (daily_measures.weight_g - daily_measures.modelled_weight_g) / 1000 as reset_kg,
        daily_measures.start_count - daily_measures.population - daily_measures.mortality_count
        + daily_measures.count_adjustment as departed_arrivals_count,
        daily_measures.state_date = assignments.assignment_date as is_first_day,
        model_fcr.model_fcr
    from daily_measures
    inner join assignments on daily_measures.assignment_id = assignments.assignment_id
    left join model_fcr
        on
            daily_measures.batch_id = model_fcr.batch_id
            and daily_measures.lifecycle_stage_id = model_fcr.lifecycle_stage_id
            and daily_measures.day_number between model_fcr.first_day_number
            and model_fcr.last_day_number
            and daily_measures.weight_g >= model_fcr.min_weight_g
            and daily_measures.weight_g < model_fcr.max_weight_g
),

-- Days and, after them, the end: one shape.
days as (
    select
        batch_id,
        assignment_id,
        container_id,
        lifecycle_stage_id,
        state_date,
        true as is_state,
        anchor_type is not null as is_anchored,
        population,
        weight_g,
        case when is_first_day and start_count > 0 then mixed_weight_g end
            as first_day_weight_g,
        temp_c,
        feed_kg,
        growth_kg,
        growth_kg * model_fcr as expected_feed_kg,
        mortality_count,
        case when mortality_source in ('actual', 'prorated') then mortality_count else 0 end
            as recorded_mortality_count,
        mortality_biomass_kg,
        reset_kg,
        arrived_count,
        departed_count,
        departed_arrivals_count,
        count_adjustment,
        modelled_weight_g,
        weight_confidence
    from measured

    union all

    select
        batch_id,
        assignment_id,
        container_id,
        lifecycle_stage_id,
        state_date,
        false as is_state,
        is_anchored,
        0 as population,
        weight_g,
        null as first_day_weight_g,
        null as temp_c,
        null as feed_kg,
        0 as growth_kg,
        0 as expected_feed_kg,
        mortality_count,
        mortality_count as recorded_mortality_count,
        mortality_count * weight_g / 1000 as mortality_biomass_kg,
        0 as reset_kg,
        arrived_count,
        departed_count,
        0 as departed_arrivals_count,
        count_adjustment,
        weight_g as modelled_weight_g,
        null as weight_confidence
    from ends
),

moved as (
    select
        days.*,
        {{ week_start_date('days.state_date') }} as week_start_date,
        date_trunc('month', days.state_date)::date as month_start_date,
        movements.arrived_biomass_kg,
        movements.departed_biomass_kg,
        movements.departed_reset_kg,
        movements.exchanged_count,
        movements.exchanged_biomass_kg,
        (
            days.count_adjustment * days.modelled_weight_g
            + days.departed_arrivals_count
            * (coalesce(movements.weight_before_g, days.modelled_weight_g) - days.modelled_weight_g)
        )
        / 1000 as adjustment_kg
    from days
    left join movements
        on
            days.assignment_id = movements.assignment_id
            and days.state_date = movements.state_date
),

-- How many anchors of the week lie before the day.
cut as (
    select
        moved.*,
        coalesce(width_bucket(moved.state_date - 1, week_anchors.anchor_dates), 0)
            as anchors_before
    from moved
    left join week_anchors
        on
            moved.assignment_id = week_anchors.assignment_id
            and moved.week_start_date = week_anchors.week_start_date
),

summed as (
    select
        batch_id,
        assignment_id,
        container_id,
        week_start_date,
        month_start_date,
        min(state_date) as span_start_date,
        max(state_date) as span_end_date,
        bool_or(is_anchored) as is_anchored,
        count(*) filter (where is_state) as days_covered,
        max(state_date) filter (where is_state) as last_state_date,
        (array_agg(lifecycle_stage_id order by state_date))[count(*)] as lifecycle_stage_id,
        (array_agg(population order by state_date))[count(*)] as end_population,
        -- (an end comes after all days)
        (array_agg(population order by state_date))[count(*) filter (where is_state)]
            as population,
        (array_agg(weight_g order by state_date))[count(*)] as weight_g,
        max(first_day_weight_g) as first_day_weight_g,
        max(population * weight_g) / 1000 as highest_biomass_kg,
        coalesce(sum(population * weight_g / 1000 order by state_date) filter (where is_state), 0)
        ::numeric as biomass_days_kg,
        coalesce(sum(temp_c::numeric) filter (where temp_c > 0), 0) as degree_days,
        sum(feed_kg) as feed_kg,
        count(feed_kg) as days_with_feed,
        sum(growth_kg order by state_date)::numeric as growth_kg,
        case
            when count(*) = count(expected_feed_kg)
                then sum(expected_feed_kg order by state_date)::numeric
        end as expected_feed_kg,
        sum(mortality_count)::bigint as mortality_count,
        sum(recorded_mortality_count)::bigint as recorded_mortality_count,
        sum(mortality_biomass_kg order by state_date)::numeric as mortality_biomass_kg,
        sum(reset_kg order by state_date)::numeric + coalesce(sum(departed_reset_kg), 0)
            as reset_kg,
        sum(arrived_count)::bigint as arrived_count,
        coalesce(sum(arrived_biomass_kg), 0) as arrived_biomass_kg,
        coalesce(sum(exchanged_count), 0)::bigint as exchanged_count,
        coalesce(sum(exchanged_biomass_kg), 0) as exchanged_biomass_kg,
        sum(departed_count)::bigint as departed_count,
        coalesce(sum(departed_biomass_kg), 0) as departed_biomass_kg,
        sum(count_adjustment)::bigint as count_adjustment,
        sum(adjustment_kg order by state_date)::numeric as adjustment_kg,
        min(weight_confidence) as lowest_weight_confidence
    from cut
    group by
        batch_id, assignment_id, container_id, week_start_date, month_start_date, anchors_before
),

final as (
    select
        *,
        coalesce(lag(end_population) over assignment_spans, 0) as start_population,
        -- Yesterday's weight; on an assignment's first day that of the fish before they grew.
        -- The weight of an empty container is no fish's weight.
        case
            when lag(assignment_id) over assignment_spans is null then first_day_weight_g
            when lag(end_population) over assignment_spans > 0
                then lag(weight_g) over assignment_spans
        end as start_weight_g,
        coalesce(lag(end_population * weight_g) over assignment_spans / 1000, 0)
            as start_biomass_kg,
        end_population * weight_g / 1000 as end_biomass_kg,
        population * weight_g / 1000 as biomass_kg
    from summed
    window assignment_spans as (partition by assignment_id order by span_start_date)
)

select * from {{ pending_weeks('final', 'assignments') }}
