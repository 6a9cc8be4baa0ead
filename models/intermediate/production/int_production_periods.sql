-- One row per batch, assignment (null: the whole batch), kind of period and period: the sums of
-- both, and what they make to date, unrounded.
{{ config(materialized='view') }}

with assignment_production as (
    select * from {{ ref('int_assignment_production') }}
),

batch_production as (
    select * from {{ ref('int_batch_production') }}
),

periods as (
    select
        batch_id,
        assignment_id,
        container_id,
        is_between_anchors,
        biomass_kg as housed_biomass_kg,
        lifecycle_stage_id,
        period_type,
        period_start_date,
        period_end_date,
        last_state_date,
        days_covered,
        start_population,
        start_weight_g,
        start_biomass_kg,
        population,
        weight_g,
        biomass_kg,
        end_population,
        end_biomass_kg,
        volume_m3,
        max_biomass_kg,
        highest_density_kg_per_m3,
        highest_biomass_limit_percent,
        biomass_days_kg,
        degree_days,
        feed_kg,
        days_with_feed,
        growth_kg,
        expected_feed_kg,
        mortality_count,
        recorded_mortality_count,
        mortality_biomass_kg,
        reset_kg,
        arrived_count,
        arrived_biomass_kg,
        departed_count,
        departed_biomass_kg,
        count_adjustment,
        adjustment_kg,
        harvested_count,
        harvested_live_weight_kg,
        lowest_weight_confidence
    from assignment_production

    union all

    select
        batch_id,
        null as assignment_id,
        null as container_id,
        false as is_between_anchors,
        end_biomass_kg as housed_biomass_kg,
        lifecycle_stage_id,
        period_type,
        period_start_date,
        period_end_date,
        last_state_date,
        days_covered,
        start_population,
        start_weight_g,
        start_biomass_kg,
        population,
        weight_g,
        biomass_kg,
        end_population,
        end_biomass_kg,
        volume_m3,
        max_biomass_kg,
        highest_density_kg_per_m3,
        highest_biomass_limit_percent,
        biomass_days_kg,
        degree_days,
        feed_kg,
        days_with_feed,
        growth_kg,
        expected_feed_kg,
        mortality_count,
        recorded_mortality_count,
        mortality_biomass_kg,
        reset_kg,
        arrived_count,
        arrived_biomass_kg,
        departed_count,
        departed_biomass_kg,
        count_adjustment,
        adjustment_kg,
        harvested_count,
        harvested_live_weight_kg,
        lowest_weight_confidence
    from batch_production
),

accumulated as (
    select
        *,
        growth_kg - mortality_biomass_kg as gain_kg,
        growth_kg - mortality_biomass_kg + reset_kg + adjustment_kg as net_growth_kg,
        (sum(mortality_count) over to_date)::bigint as cumulative_mortality_count,
        (sum(arrived_count) over to_date)::bigint as cumulative_arrived_count,
        sum(harvested_live_weight_kg) over to_date as cumulative_harvested_live_weight_kg
    from periods
    window to_date as (
        partition by batch_id, assignment_id, period_type order by period_start_date
    )
),

-- Between anchors and over a life growth is what was weighed; over a week or month, which begin
-- and end anywhere, what the model grew: a jump at an anchor is growth of all days before it.
final as (
    select
        *,
        case
            when is_between_anchors then 'measured'
            when period_type in ('anchor_window', 'life') then 'reset_by_anchors'
            else 'modelled'
        end as fcr_basis,
        case when period_type in ('anchor_window', 'life') then net_growth_kg else gain_kg end
            as fcr_growth_kg
    from accumulated
)

select * from final
