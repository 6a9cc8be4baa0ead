-- One row per batch, container (null: the whole batch) and ISO week with a state: its last day
-- beside the plan in force, and the last sample of the week.
{{ config(materialized='view') }}

with weekly_assignment_states as (
    select * from {{ ref('weekly_assignment_states') }}
),

weekly_batch_states as (
    select * from {{ ref('weekly_batch_states') }}
),

samples as (
    select * from {{ ref('int_samples') }}
),

anchor_types as (
    select * from {{ ref('anchor_types') }}
),

dated_samples as (
    select
        *,
        {{ week_start_date('sample_date') }} as week_start_date
    from samples
),

-- Of several kinds of sample on that day the one that anchors before others.
last_samples as (
    select distinct on (
        dated_samples.batch_id, dated_samples.container_id, dated_samples.week_start_date
    ) dated_samples.*
    from dated_samples
    inner join anchor_types on dated_samples.sample_type = anchor_types.anchor_type
    order by
        dated_samples.batch_id asc,
        dated_samples.container_id asc,
        dated_samples.week_start_date asc,
        dated_samples.sample_date desc,
        anchor_types.precedence asc
),

-- Of two stays in one container in one week the later one.
actual_of_containers as (
    select distinct on (batch_id, container_id, week_start_date)
        batch_id,
        batch_number,
        container_id,
        container_name,
        week_start_date,
        last_state_date as state_date,
        lifecycle_stage_name,
        avg_weight_g as actual_weight_g,
        population as actual_population,
        biomass_kg as actual_biomass_kg,
        lowest_weight_confidence as confidence,
        anchor_count > 0 as is_anchor,
        is_provisional
    from weekly_assignment_states
    where container_id is not null
    order by batch_id asc, container_id asc, week_start_date asc, last_state_date desc
),

actual_of_batches as (
    select
        batch_id,
        batch_number,
        null::bigint as container_id,
        null::text as container_name,
        week_start_date,
        last_state_date as state_date,
        lifecycle_stage_name,
        avg_weight_g as actual_weight_g,
        population as actual_population,
        biomass_kg as actual_biomass_kg,
        lowest_weight_confidence as confidence,
        anchor_count > 0 as is_anchor,
        is_provisional
    from weekly_batch_states
),

actual as (
    select * from actual_of_containers
    union all
    select * from actual_of_batches
),

{{ plan_variance('actual') }},

final as (
    select
        -- which
        compared.batch_id,
        compared.batch_number,
        compared.container_id,
        compared.container_name,
        compared.week_start_date,
        extract(isoyear from compared.week_start_date)::integer as iso_year,
        extract(week from compared.week_start_date)::integer as iso_week,
        compared.state_date as last_state_date,
        compared.lifecycle_stage_name,

        -- the state at the end of the last day
        compared.actual_weight_g,
        compared.actual_population,
        compared.actual_biomass_kg,
        compared.confidence,
        compared.is_anchor,
        compared.is_provisional,

        -- the plan of that day
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

        -- the last sample of the week
        last_samples.sample_date,
        last_samples.sample_type,
        last_samples.weight_g::numeric(12, 4) as sample_weight_g,
        last_samples.sample_size,
        last_samples.std_deviation_weight_g::numeric(12, 4) as sample_std_deviation_weight_g,
        last_samples.condition_factor::numeric(6, 3) as sample_condition_factor
    from compared
    left join last_samples
        on
            compared.batch_id = last_samples.batch_id
            and compared.week_start_date = last_samples.week_start_date
            and compared.container_id is not distinct from last_samples.container_id
)

select * from final
