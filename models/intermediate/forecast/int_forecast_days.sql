-- One row per open assignment and day, from the day of its newest state on: what its fish are
-- expected to weigh then, and how many they are, unrounded.
--
-- By the growth step of the states, all assignments a day on in each pass. The variance of the root
-- (cube root of the weight) grows with the degree-days, and by the error of the TGC, which is the
-- same every day: so the days' growth times its uncertainty adds up, and the sum is squared.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['assignment_id', 'state_date'], 'unique': true},
        {'columns': ['batch_id']},
    ],
    pre_hook='set local enable_mergejoin = off',
) }}

with recursive

starts as (
    select * from {{ pending('int_forecast_starts', 'batches') }}
),

parameters as materialized (
    select
        *,
        cbrt(harvest_weight_g) - 1e-9 as harvest_root
    from {{ pending('int_forecast_parameters', 'batches') }}
),

profile_temperatures as (
    select * from {{ ref('int_profile_temperatures') }}
),

calibrations as (
    select * from {{ ref('stg_calibrations') }}
),

process_noise as materialized (
    select
        coalesce(
            (
                select calibrations.process_noise
                from calibrations
                where calibrations.process_noise is not null
                order by calibrations.calibration_id desc
                limit 1
            ),
            {{ smoothing_constant('process_noise') }}
        ) as noise
),

step as (
    -- Row 0: the newest state.
    select
        assignment_id,
        batch_id,
        computed_date as state_date,
        0 as days_ahead,
        lifecycle_stage_id,
        coalesce(days_in_stage, 0) as days_in_stage,
        population,
        0::double precision as mortality_carry,
        weight_g,
        cbrt(weight_g) as root,
        root_variance as noise_variance,
        0::double precision as growth_error
    from starts

    union all

    (
        with yesterday as materialized (
            select
                *,
                state_date + 1 as today,
                root
                - {{ forecast_constant('harvest_quantile_z') }}
                * sqrt(noise_variance + growth_error * growth_error) as safe_root
            from step
            where days_ahead < {{ forecast_constant('longest_forecast_days') }}
        ),

        -- Beyond a profile's days its first or last one is held.
        warmed as (
            select
                yesterday.*,
                parameters.next_lifecycle_stage_id,
                parameters.tgc,
                parameters.tgc_cv,
                parameters.exponent_n,
                parameters.exponent_m,
                parameters.max_weight_g,
                parameters.stage_days,
                profile_temperatures.temp_c + parameters.temperature_bias_c as temp_c,
                yesterday.population * parameters.daily_mortality_rate
                + yesterday.mortality_carry as expected_deaths
            from yesterday
            inner join parameters
                on
                    yesterday.assignment_id = parameters.assignment_id
                    and yesterday.lifecycle_stage_id = parameters.lifecycle_stage_id
                    and yesterday.today >= parameters.from_date
                    and yesterday.today < parameters.to_date
            left join profile_temperatures
                on
                    parameters.temperature_profile_id = profile_temperatures.temperature_profile_id
                    and profile_temperatures.day_number = least(
                        greatest(
                            yesterday.today - parameters.batch_start_date + 1,
                            parameters.first_day
                        ),
                        parameters.last_day
                    )
            where yesterday.safe_root < parameters.harvest_root
        ),

        grown as (
            select
                *,
                floor(expected_deaths + 1e-9)::bigint as mortality_count,
                least(
                    {{ grown_weight_g('weight_g', 'temp_c', 'tgc', 'exponent_n', 'exponent_m') }},
                    {{ plausible('weight', 'max_value') }}
                ) as grown_weight_g
            from warmed
        ),

        staged as (
            select
                *,
                cbrt(grown_weight_g) as grown_root,
                next_lifecycle_stage_id is not null
                and (
                    coalesce(grown_weight_g >= max_weight_g - 1e-9, false)
                    or coalesce(days_in_stage + 1 >= stage_days, false)
                ) as is_stage_left
            from grown
        )

        select
            staged.assignment_id,
            staged.batch_id,
            staged.today as state_date,
            staged.days_ahead + 1 as days_ahead,
            case
                when staged.is_stage_left then staged.next_lifecycle_stage_id
                else staged.lifecycle_stage_id
            end as lifecycle_stage_id,
            case when staged.is_stage_left then 0 else staged.days_in_stage + 1 end
                as days_in_stage,
            staged.population - staged.mortality_count as population,
            staged.expected_deaths - staged.mortality_count as mortality_carry,
            staged.grown_weight_g as weight_g,
            staged.grown_root as root,
            staged.noise_variance
            + process_noise.noise * greatest(coalesce(staged.temp_c, 0), 0) as noise_variance,
            staged.growth_error + (staged.grown_root - staged.root) * staged.tgc_cv
                as growth_error
        from staged
        cross join process_noise
    )
),

final as (
    select
        assignment_id,
        batch_id,
        state_date,
        days_ahead,
        lifecycle_stage_id,
        population,
        root,
        noise_variance + growth_error * growth_error as root_variance
    from step
)

-- Together what is read together, which the passes have strewn.
select * from final
order by assignment_id, state_date
