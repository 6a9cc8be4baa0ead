-- One row per batch, container (null: the whole batch) and day with a state: the state beside the
-- plan in force and the sample of the day. A view, as growth_analysis.
{{ config(materialized='view') }}

with daily_assignment_states as (
    select * from {{ ref('daily_assignment_states') }}
),

daily_batch_states as (
    select * from {{ ref('daily_batch_states') }}
),

samples as (
    select * from {{ ref('int_samples') }}
),

anchor_types as (
    select * from {{ ref('anchor_types') }}
),

-- Of several kinds of sample on a day the one that anchors before others.
best_samples as (
    select distinct on (samples.batch_id, samples.container_id, samples.sample_date) samples.*
    from samples
    inner join anchor_types on samples.sample_type = anchor_types.anchor_type
    order by
        samples.batch_id, samples.container_id, samples.sample_date, anchor_types.precedence
),

actual as (
    select
        batch_id,
        batch_number,
        container_id,
        container_name,
        state_date,
        day_number,
        lifecycle_stage_name,
        avg_weight_g as actual_weight_g,
        population as actual_population,
        biomass_kg as actual_biomass_kg,
        weight_confidence as confidence,
        anchor_type is not null as is_anchor,
        is_provisional
    from daily_assignment_states
    where container_id is not null

    union all

    select
        batch_id,
        batch_number,
        null as container_id,
        null as container_name,
        state_date,
        day_number,
        lifecycle_stage_name,
        avg_weight_g as actual_weight_g,
        population as actual_population,
        biomass_kg as actual_biomass_kg,
        lowest_weight_confidence as confidence,
        anchor_count > 0 as is_anchor,
        is_provisional
    from daily_batch_states
),

{{ plan_variance('actual') }},

final as (
    select
        -- which
        compared.batch_id,
        compared.batch_number,
        compared.container_id,
        compared.container_name,
        compared.state_date,
        compared.day_number,
        compared.lifecycle_stage_name,

        -- the state
        compared.actual_weight_g,
        compared.actual_population,
        compared.actual_biomass_kg,
        compared.confidence,
        compared.is_anchor,
        compared.is_provisional,

        -- the plan
        compared.scenario_id,
        compared.scenario_name,
        compared.is_pinned,
        compared.scenario_weight_g,
        compared.scenario_population,
        compared.scenario_biomass_kg,

        -- the state against the plan
        compared.weight_variance_g,
        compared.weight_variance_percent,
        compared.population_variance,
        compared.population_variance_percent,
        compared.biomass_variance_kg,
        compared.biomass_variance_percent,
        compared.days_ahead,

        -- the sample of the day
        best_samples.sample_type,
        best_samples.weight_g::numeric(12, 4) as sample_weight_g,
        best_samples.sample_size,
        best_samples.std_deviation_weight_g::numeric(12, 4) as sample_std_deviation_weight_g,
        best_samples.condition_factor::numeric(6, 3) as sample_condition_factor
    from compared
    left join best_samples
        on
            compared.batch_id = best_samples.batch_id
            and compared.state_date = best_samples.sample_date
            and compared.container_id is not distinct from best_samples.container_id
)

select * from final
