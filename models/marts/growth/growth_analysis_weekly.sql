-- One row per batch, container (null: the whole batch), ISO week and series; of the series
-- `scenario` one per scenario, of `sample` one per kind of sample: as the last day of the week that
-- has a row.
{{ config(materialized='view') }}

with weekly_assignment_states as (
    select * from {{ ref('weekly_assignment_states') }}
),

weekly_batch_states as not materialized (
    select * from {{ ref('weekly_batch_states') }}
),

daily_assignment_smoothed as (
    select * from {{ ref('daily_assignment_smoothed') }}
),

daily_batch_smoothed as (
    select * from {{ ref('daily_batch_smoothed') }}
),

growth_analysis as (
    select * from {{ ref('growth_analysis') }} where series not in ('actual', 'smoothed')
),

-- Of two stays in one container in one week the later one. (Read twice, and yet of the batches that
-- are asked for alone; so are the batches' weeks.)
container_weeks as not materialized (
    select distinct on (batch_id, container_id, week_start_date) *
    from weekly_assignment_states
    where container_id is not null
    order by batch_id asc, container_id asc, week_start_date asc, last_state_date desc
),

actual_of_containers as (
    select
        batch_id,
        batch_number,
        container_id,
        container_name,
        week_start_date,
        last_state_date,
        'actual' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        lifecycle_stage_name,
        avg_weight_g,
        null::numeric(12, 4) as weight_low_g,
        null::numeric(12, 4) as weight_high_g,
        population,
        biomass_kg,
        lowest_weight_confidence as confidence,
        'days' as source,
        anchor_count > 0 as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        is_provisional
    from container_weeks
),

actual_of_batches as (
    select
        batch_id,
        batch_number,
        null::bigint as container_id,
        null::text as container_name,
        week_start_date,
        last_state_date,
        'actual' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        lifecycle_stage_name,
        avg_weight_g,
        null::numeric(12, 4) as weight_low_g,
        null::numeric(12, 4) as weight_high_g,
        population,
        biomass_kg,
        lowest_weight_confidence as confidence,
        'days' as source,
        anchor_count > 0 as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        is_provisional
    from weekly_batch_states
),

-- The smoothed series has a day for each day with a state: the weeks end on the same days.
smoothed_of_containers as (
    select
        container_weeks.batch_id,
        container_weeks.batch_number,
        container_weeks.container_id,
        container_weeks.container_name,
        container_weeks.week_start_date,
        container_weeks.last_state_date,
        'smoothed' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        null::text as lifecycle_stage_name,
        days.smoothed_weight_g as avg_weight_g,
        days.smoothed_weight_low_g as weight_low_g,
        days.smoothed_weight_high_g as weight_high_g,
        days.population,
        days.smoothed_biomass_kg as biomass_kg,
        null::double precision as confidence,
        'days' as source,
        container_weeks.anchor_count > 0 as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        null::boolean as is_provisional
    from container_weeks
    inner join daily_assignment_smoothed as days
        on
            container_weeks.assignment_id = days.assignment_id
            and container_weeks.last_state_date = days.state_date
),

smoothed_of_batches as (
    select
        weekly_batch_states.batch_id,
        weekly_batch_states.batch_number,
        null::bigint as container_id,
        null::text as container_name,
        weekly_batch_states.week_start_date,
        weekly_batch_states.last_state_date,
        'smoothed' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        null::text as lifecycle_stage_name,
        days.smoothed_weight_g as avg_weight_g,
        days.smoothed_weight_low_g as weight_low_g,
        days.smoothed_weight_high_g as weight_high_g,
        days.population,
        days.smoothed_biomass_kg as biomass_kg,
        null::double precision as confidence,
        'days' as source,
        weekly_batch_states.anchor_count > 0 as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        null::boolean as is_provisional
    from weekly_batch_states
    inner join daily_batch_smoothed as days
        on
            weekly_batch_states.batch_id = days.batch_id
            and weekly_batch_states.last_state_date = days.state_date
),

dated as (
    select
        *,
        {{ week_start_date('state_date') }} as week_start_date
    from growth_analysis
),

others as (
    select distinct on (
        batch_id, container_id, week_start_date, series, scenario_id, sample_type
    )
        batch_id,
        batch_number,
        container_id,
        container_name,
        week_start_date,
        state_date as last_state_date,
        series,
        scenario_id,
        scenario_name,
        is_pinned,
        lifecycle_stage_name,
        avg_weight_g,
        weight_low_g,
        weight_high_g,
        population,
        biomass_kg,
        confidence,
        source,
        is_anchor,
        sample_type,
        sample_size,
        std_deviation_weight_g,
        condition_factor,
        is_provisional
    from dated
    order by
        batch_id asc,
        container_id asc,
        week_start_date asc,
        series asc,
        scenario_id asc,
        sample_type asc,
        state_date desc
),

weeks as (
    select * from actual_of_containers
    union all
    select * from actual_of_batches
    union all
    select * from smoothed_of_containers
    union all
    select * from smoothed_of_batches
    union all
    select * from others
),

final as (
    select
        batch_id,
        batch_number,
        container_id,
        container_name,
        week_start_date,
        extract(isoyear from week_start_date)::integer as iso_year,
        extract(week from week_start_date)::integer as iso_week,
        last_state_date,
        series,
        scenario_id,
        scenario_name,
        is_pinned,
        lifecycle_stage_name,
        avg_weight_g,
        weight_low_g,
        weight_high_g,
        population,
        biomass_kg,
        confidence,
        source,
        is_anchor,
        sample_type,
        sample_size,
        std_deviation_weight_g,
        condition_factor,
        is_provisional
    from weeks
)

select * from final
