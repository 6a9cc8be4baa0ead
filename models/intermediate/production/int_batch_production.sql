-- One row per batch and period (week, month, life): the sums of its assignments, less what went
-- from one of its containers to another on one day; weights, temperature and stage from the
-- batch's days.
{{ config(
    meta={'published_by': 'batches'},
    indexes=[
        {'columns': ['batch_id', 'period_type', 'period_start_date'], 'unique': true},
    ],
) }}

with assignment_production as (
    select * from {{ pending('int_assignment_production', 'batches') }}
    where period_type <> 'anchor_window'
),

batch_days as (
    select * from {{ pending('int_batch_days', 'batches') }}
),

keyed as (
    select
        *,
        case
            when period_type = 'life'
                then min(period_start_date) over (partition by batch_id, period_type)
            else period_start_date
        end as batch_period_start_date
    from assignment_production
),

summed as (
    select
        batch_id,
        period_type,
        batch_period_start_date as period_start_date,
        max(period_end_date) as period_end_date,
        sum(start_population)::bigint as start_population,
        sum(start_biomass_kg::numeric) as start_biomass_kg,
        sum(end_population)::bigint as end_population,
        sum(end_biomass_kg::numeric) as end_biomass_kg,
        -- of the containers that hold fish at the end, where all are known
        case
            when bool_and(volume_m3 is not null) filter (where end_population > 0)
                then sum(volume_m3) filter (where end_population > 0)
        end as volume_m3,
        case
            when bool_and(max_biomass_kg is not null) filter (where end_population > 0)
                then sum(max_biomass_kg) filter (where end_population > 0)
        end as max_biomass_kg,
        max(highest_density_kg_per_m3) as highest_density_kg_per_m3,
        max(highest_biomass_limit_percent) as highest_biomass_limit_percent,
        sum(biomass_days_kg) as biomass_days_kg,
        sum(feed_kg) as feed_kg,
        sum(growth_kg) as growth_kg,
        case when count(*) = count(expected_feed_kg) then sum(expected_feed_kg) end
            as expected_feed_kg,
        sum(mortality_count)::bigint as mortality_count,
        sum(recorded_mortality_count)::bigint as recorded_mortality_count,
        sum(mortality_biomass_kg) as mortality_biomass_kg,
        sum(reset_kg) as reset_kg,
        sum(arrived_count - exchanged_count)::bigint as arrived_count,
        sum(arrived_biomass_kg - exchanged_biomass_kg) as arrived_biomass_kg,
        (sum(departed_count) - sum(exchanged_count))::bigint as departed_count,
        sum(departed_biomass_kg) - sum(exchanged_biomass_kg) as departed_biomass_kg,
        sum(count_adjustment)::bigint as count_adjustment,
        sum(adjustment_kg) as adjustment_kg,
        sum(harvested_count)::bigint as harvested_count,
        sum(harvested_live_weight_kg) as harvested_live_weight_kg,
        min(lowest_weight_confidence) as lowest_weight_confidence
    from keyed
    group by batch_id, period_type, batch_period_start_date
),

first_dates as (
    select
        batch_id,
        period_start_date as first_date
    from summed
    where period_type = 'life'
),

days_in_periods as (
    select
        batch_days.*,
        periods.period_type,
        periods.period_start_date
    from batch_days
    inner join first_dates on batch_days.batch_id = first_dates.batch_id
    cross join lateral (
        values
        ('week', {{ week_start_date('batch_days.state_date') }}),
        ('month', date_trunc('month', batch_days.state_date)::date),
        ('life', first_dates.first_date)
    ) as periods (period_type, period_start_date)
),

covered as (
    select
        batch_id,
        period_type,
        period_start_date,
        min(state_date) as first_state_date,
        max(state_date) as last_state_date,
        count(*) as days_covered,
        count(feed_kg) as days_with_feed,
        coalesce(sum(temp_c::numeric) filter (where temp_c > 0), 0) as degree_days
    from days_in_periods
    group by batch_id, period_type, period_start_date
),

final as (
    select
        summed.batch_id,
        last_days.lifecycle_stage_id,
        summed.period_type,
        summed.period_start_date,
        summed.period_end_date,
        covered.last_state_date,
        coalesce(covered.days_covered, 0) as days_covered,
        summed.start_population,
        -- The batch's weight on the day before; where it had no state that day, that of the
        -- fish of the first day before they grew.
        case
            when days_before.batch_id is not null then days_before.avg_weight_g
            else first_days.start_weight_g
        end as start_weight_g,
        summed.start_biomass_kg,
        last_days.population,
        last_days.avg_weight_g as weight_g,
        last_days.biomass_kg,
        summed.end_population,
        summed.end_biomass_kg,
        summed.volume_m3,
        summed.max_biomass_kg,
        summed.highest_density_kg_per_m3,
        summed.highest_biomass_limit_percent,
        summed.biomass_days_kg,
        coalesce(covered.degree_days, 0) as degree_days,
        summed.feed_kg,
        coalesce(covered.days_with_feed, 0) as days_with_feed,
        summed.growth_kg,
        summed.expected_feed_kg,
        summed.mortality_count,
        summed.recorded_mortality_count,
        summed.mortality_biomass_kg,
        summed.reset_kg,
        summed.arrived_count,
        summed.arrived_biomass_kg,
        summed.departed_count,
        summed.departed_biomass_kg,
        summed.count_adjustment,
        summed.adjustment_kg,
        summed.harvested_count,
        summed.harvested_live_weight_kg,
        summed.lowest_weight_confidence
    from summed
    left join covered
        on
            summed.batch_id = covered.batch_id
            and summed.period_type = covered.period_type
            and summed.period_start_date = covered.period_start_date
    left join batch_days as first_days
        on
            covered.batch_id = first_days.batch_id
            and covered.first_state_date = first_days.state_date
    left join batch_days as last_days
        on
            covered.batch_id = last_days.batch_id
            and covered.last_state_date = last_days.state_date
    left join batch_days as days_before
        on
            covered.batch_id = days_before.batch_id
            and covered.first_state_date - 1 = days_before.state_date
)

select * from final
