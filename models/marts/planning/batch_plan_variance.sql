-- One row per batch that has had fish: its life to date against the plan in force. A view: a row
-- per batch is looked up by index, and what is open becomes overdue with no record changed.
{{ config(materialized='view') }}

with batches as (
    select * from {{ ref('batches') }}
),

daily_batch_states as (
    select * from {{ ref('daily_batch_states') }}
),

plan_starts as (
    select * from {{ ref('int_plan_starts') }} where is_in_force
),

lives as (
    select * from {{ ref('production_figures') }}
    where period_type = 'life' and assignment_id is null
),

container_forecast as (
    select * from {{ ref('container_forecast') }}
),

activities as (
    select * from {{ ref('int_activity_timeliness') }}
),

latest as (
    select
        batches.batch_id,
        batches.batch_number,
        batches.batch_status,
        null::bigint as container_id,
        days.state_date,
        days.day_number,
        days.avg_weight_g as actual_weight_g,
        days.population as actual_population,
        days.biomass_kg as actual_biomass_kg
    from batches
    cross join lateral (
        select * from daily_batch_states
        where
            daily_batch_states.batch_id = batches.batch_id
            and daily_batch_states.population > 0
        order by daily_batch_states.state_date desc
        limit 1
    ) as days
),

{{ plan_variance('latest') }},

-- The days behind the plan are a mean over the fish.
harvests as (
    select
        batch_id,
        count(*) as open_container_count,
        min(expected_harvest_date) as first_expected_harvest_date,
        max(expected_harvest_date) as last_expected_harvest_date,
        min(planned_harvest_date) as planned_harvest_date,
        sum(expected_harvest_biomass_kg) as expected_harvest_biomass_kg,
        (
            sum(population * harvest_days_behind_plan)
            / sum(population) filter (where harvest_days_behind_plan is not null)
        )::numeric(12, 1) as harvest_days_behind_plan
    from container_forecast
    group by batch_id
),

activity_counts as (
    select
        batch_id,
        count(*) as activity_count,
        count(*) filter (where activity_status = 'COMPLETED') as completed_count,
        count(*) filter (where timeliness = 'on_time') as on_time_count,
        count(*) filter (where timeliness = 'overdue') as overdue_count,
        min(due_date) filter (where is_open) as next_due_date
    from activities
    group by batch_id
),

lived as (
    select
        compared.*,
        lives.survival_percent,
        (100.0 * compared.scenario_population / nullif(plan_starts.population, 0))
        ::numeric(24, 4) as scenario_survival_percent,
        lives.economic_fcr,
        lives.biological_fcr,
        ({{ observed_fcr('lives.expected_feed_kg', 'lives.growth_kg') }})::numeric(8, 3)
            as expected_fcr
    from compared
    left join plan_starts on compared.batch_id = plan_starts.batch_id
    left join lives on compared.batch_id = lives.batch_id
),

final as (
    select
        -- which
        lived.batch_id,
        lived.batch_number,
        lived.batch_status,
        lived.scenario_id,
        lived.scenario_name,
        lived.is_pinned,
        lived.state_date,
        lived.day_number,

        -- weight
        lived.actual_weight_g,
        lived.scenario_weight_g,
        lived.weight_variance_g,
        lived.weight_variance_percent,
        lived.days_ahead,

        -- number and biomass
        lived.actual_population,
        lived.scenario_population,
        lived.population_variance,
        lived.population_variance_percent,
        lived.actual_biomass_kg,
        lived.scenario_biomass_kg::numeric(14, 2) as scenario_biomass_kg,
        lived.biomass_variance_kg::numeric(14, 2) as biomass_variance_kg,
        lived.biomass_variance_percent,

        -- survival
        lived.survival_percent,
        lived.scenario_survival_percent,
        (lived.survival_percent - lived.scenario_survival_percent)::numeric(24, 4)
            as survival_variance_points,

        -- feed conversion
        lived.economic_fcr,
        lived.biological_fcr,
        lived.expected_fcr,
        (lived.biological_fcr - lived.expected_fcr)::numeric(8, 3) as fcr_variance,

        -- harvest
        coalesce(harvests.open_container_count, 0) as open_container_count,
        harvests.first_expected_harvest_date,
        harvests.last_expected_harvest_date,
        harvests.expected_harvest_biomass_kg::numeric(16, 2) as expected_harvest_biomass_kg,
        harvests.planned_harvest_date,
        harvests.harvest_days_behind_plan,

        -- activities
        coalesce(activity_counts.activity_count, 0) as activity_count,
        coalesce(activity_counts.completed_count, 0) as completed_count,
        coalesce(activity_counts.on_time_count, 0) as on_time_count,
        coalesce(activity_counts.overdue_count, 0) as overdue_count,
        activity_counts.next_due_date
    from lived
    left join harvests on lived.batch_id = harvests.batch_id
    left join activity_counts on lived.batch_id = activity_counts.batch_id
)

select * from final
