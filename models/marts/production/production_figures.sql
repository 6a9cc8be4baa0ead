-- One row per batch, assignment (null: the whole batch), kind of period and period.
{{ config(
    meta={'published_by': 'assignments_and_batches'},
    indexes=[
        {'columns': ['batch_id', 'period_type', 'period_start_date']},
        {'columns': ['assignment_id', 'period_type', 'period_start_date']},
    ],
) }}

with periods as (
    select * from {{ pending('int_production_periods', 'assignments') }}
    where assignment_id is not null

    union all

    select * from {{ pending('int_production_periods', 'batches') }}
    where assignment_id is null
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

fcr_bands as (
    select * from {{ ref('fcr_bands') }}
),

-- (With an offset the ratios are computed once, and not wherever they are named.)
fed as (
    select
        *,
        ({{ observed_fcr('feed_kg', 'fcr_growth_kg') }})::numeric(8, 3) as economic_fcr,
        ({{ observed_fcr('feed_kg', '(fcr_growth_kg + mortality_biomass_kg)') }})
        ::numeric(8, 3) as biological_fcr
    from periods
    offset 0
),

final as (
    select
        -- which
        fed.batch_id,
        batches.batch_number,
        fed.assignment_id,
        fed.container_id,
        containers.container_name,
        fed.lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_name,
        fed.period_type,
        fed.period_start_date,
        fed.period_end_date,
        fed.last_state_date,
        fed.days_covered,

        -- the state at the end of the last day covered
        fed.weight_g::numeric(12, 4) as avg_weight_g,
        fed.population,
        fed.biomass_kg::numeric(14, 2) as biomass_kg,

        -- the balance of fish
        fed.start_population,
        fed.arrived_count,
        fed.departed_count,
        fed.mortality_count,
        fed.count_adjustment,
        fed.end_population,

        -- the balance of biomass
        fed.start_biomass_kg::numeric(16, 4) as start_biomass_kg,
        fed.arrived_biomass_kg::numeric(16, 4) as arrived_biomass_kg,
        fed.departed_biomass_kg::numeric(16, 4) as departed_biomass_kg,
        fed.growth_kg::numeric(16, 4) as growth_kg,
        fed.mortality_biomass_kg::numeric(16, 4) as mortality_biomass_kg,
        fed.gain_kg::numeric(16, 4) as gain_kg,
        fed.reset_kg::numeric(16, 4) as reset_kg,
        fed.adjustment_kg::numeric(16, 4) as adjustment_kg,
        fed.net_growth_kg::numeric(16, 4) as net_growth_kg,
        fed.end_biomass_kg::numeric(16, 4) as end_biomass_kg,

        -- feed
        fed.feed_kg::numeric(16, 4) as feed_kg,
        fed.days_with_feed,
        fed.expected_feed_kg::numeric(16, 4) as expected_feed_kg,
        (100 * fed.feed_kg / nullif(fed.expected_feed_kg, 0))::numeric(24, 2)
            as feed_of_expected_percent,
        (100 * fed.feed_kg / nullif(fed.biomass_days_kg, 0))::numeric(24, 4)
            as sfr_percent_per_day,
        fed.economic_fcr,
        fed.biological_fcr,
        fed.fcr_basis,
        fcr_bands.fcr_band,

        -- how the fish grew
        fed.start_weight_g::numeric(12, 4) as start_weight_g,
        ({{ specific_growth_rate('fed.start_weight_g', 'fed.weight_g', 'fed.days_covered') }})
        ::numeric(24, 4) as sgr_percent_per_day,
        ({{ thermal_growth_coefficient(
            'fed.start_weight_g', 'fed.weight_g', 'fed.degree_days'
        ) }})::numeric(24, 4) as tgc,
        fed.degree_days::numeric(10, 2) as degree_days,

        -- mortality
        fed.recorded_mortality_count,
        (
            100.0 * fed.mortality_count / nullif(fed.start_population + fed.arrived_count, 0)
        )::numeric(24, 4) as mortality_percent,
        fed.cumulative_mortality_count,
        (
            100.0 * fed.cumulative_mortality_count / nullif(fed.cumulative_arrived_count, 0)
        )::numeric(24, 4) as cumulative_mortality_percent,
        -- (of the rounded share: both together make 100)
        100 - (
            100.0 * fed.cumulative_mortality_count / nullif(fed.cumulative_arrived_count, 0)
        )::numeric(24, 4) as survival_percent,

        -- room
        (fed.housed_biomass_kg / fed.volume_m3)::numeric(24, 4) as density_kg_per_m3,
        fed.highest_density_kg_per_m3::numeric(24, 4) as highest_density_kg_per_m3,
        (100 * fed.housed_biomass_kg / fed.max_biomass_kg)::numeric(24, 2)
            as biomass_limit_percent,
        fed.highest_biomass_limit_percent::numeric(24, 2) as highest_biomass_limit_percent,

        -- harvest
        fed.harvested_count,
        fed.harvested_live_weight_kg::numeric(16, 3) as harvested_live_weight_kg,
        (
            fed.cumulative_harvested_live_weight_kg / nullif(fed.cumulative_arrived_count, 0)
        )::numeric(24, 4) as harvest_yield_kg_per_stocked_fish,

        fed.lowest_weight_confidence,
        coalesce(fed.last_state_date = {{ as_of_date() }}, false) as is_provisional
    from fed
    left join batches on fed.batch_id = batches.batch_id
    left join containers on fed.container_id = containers.container_id
    left join lifecycle_stages
        on fed.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
    left join fcr_bands
        on
            fed.economic_fcr > fcr_bands.above_fcr
            and fed.economic_fcr <= fcr_bands.up_to_fcr
)

select * from final
