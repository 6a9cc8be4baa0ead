-- One row per open assignment, lifecycle stage from that of its start on, and period between model
-- changes: all that a day of its forecast follows from, besides the day before.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with starts as (
    select * from {{ pending('int_forecast_starts', 'batches') }}
),

parameters as (
    select * from {{ pending('int_growth_parameters', 'batches') }}
),

periods as (
    select * from {{ pending('int_scenario_periods', 'batches') }}
),

lifecycle_stages as (
    select * from {{ ref('stg_lifecycle_stages') }}
),

profile_spans as (
    select
        temperature_profile_id,
        min(first_day) as first_day,
        max(last_day) as last_day
    from {{ ref('int_profile_temperatures') }}
    group by temperature_profile_id
),

container_sites as (
    select * from {{ ref('int_container_sites') }}
),

calibrated_tgc as (
    select * from {{ ref('int_calibrated_tgc') }}
),

stages as (
    select
        starts.assignment_id,
        starts.batch_id,
        starts.container_id,
        starts.batch_start_date,
        starts.temperature_bias_c,
        starts.harvest_weight_g,
        later_stages.lifecycle_stage_id,
        later_stages.typical_duration_days,
        later_stages.lifecycle_stage_id = starts.lifecycle_stage_id as is_start_stage
    from starts
    inner join lifecycle_stages as start_stages
        on starts.lifecycle_stage_id = start_stages.lifecycle_stage_id
    inner join lifecycle_stages as later_stages
        on
            start_stages.species_id = later_stages.species_id
            and (
                start_stages.lifecycle_stage_id = later_stages.lifecycle_stage_id
                or start_stages.stage_order < later_stages.stage_order
            )
),

-- Of the site only where the fish are now: nobody knows where they will be.
calibrated as (
    select
        stages.*,
        coalesce(of_sites.tgc_factor, of_all.tgc_factor, 1) as tgc_factor,
        coalesce(
            of_sites.tgc_factor_variance,
            of_all.tgc_factor_variance,
            power({{ forecast_constant('model_tgc_cv') }}, 2)
        ) as tgc_factor_variance
    from stages
    left join container_sites
        on stages.container_id = container_sites.container_id and stages.is_start_stage
    left join calibrated_tgc as of_sites
        on
            stages.lifecycle_stage_id = of_sites.lifecycle_stage_id
            and container_sites.site_kind = of_sites.site_kind
            and container_sites.site_id = of_sites.site_id
    left join calibrated_tgc as of_all
        on stages.lifecycle_stage_id = of_all.lifecycle_stage_id and of_all.site_kind = 'all'
),

final as (
    select
        calibrated.assignment_id,
        calibrated.batch_id,
        calibrated.lifecycle_stage_id,
        parameters.next_lifecycle_stage_id,
        case
            when periods.period_start_day = 1 then '-infinity'::date
            else calibrated.batch_start_date + periods.period_start_day - 1
        end as from_date,
        coalesce(
            calibrated.batch_start_date + periods.next_period_start_day - 1, 'infinity'::date
        ) as to_date,
        calibrated.batch_start_date,
        profile_spans.temperature_profile_id,
        profile_spans.first_day,
        profile_spans.last_day,
        calibrated.temperature_bias_c,
        parameters.tgc * calibrated.tgc_factor as tgc,
        sqrt(calibrated.tgc_factor_variance) / calibrated.tgc_factor as tgc_cv,
        parameters.exponent_n,
        parameters.exponent_m,
        coalesce(parameters.daily_mortality_rate, 0) as daily_mortality_rate,
        parameters.max_weight_g,
        case
            when coalesce(parameters.tgc, 0) <= 0
                then
                    coalesce(
                        calibrated.typical_duration_days,
                        {{ growth_constant('days_without_growth') }}
                    )
        end as stage_days,
        calibrated.harvest_weight_g
    from calibrated
    inner join parameters
        on
            calibrated.batch_id = parameters.batch_id
            and calibrated.lifecycle_stage_id = parameters.lifecycle_stage_id
    inner join periods
        on
            parameters.batch_id = periods.batch_id
            and parameters.period_start_day = periods.period_start_day
    left join profile_spans
        on coalesce(periods.temperature_profile_id, 0) = profile_spans.temperature_profile_id
)

select * from final
