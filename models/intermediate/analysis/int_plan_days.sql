-- One row per batch, plan and day: the state that the plan expects at the end of it, unrounded.
--
-- The stored days of the pinned projection run where there are some, and from the last of them on,
-- or from the plan's start, computed: with the growth step of the states, but the plan's own
-- temperatures and deaths, all plans a day on in each pass. Nothing that was measured is in it.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'state_date']},
    ],
    partial_indexes=['(batch_id, (weight_g::numeric(12, 4)), state_date) where is_in_force'],
    pre_hook='set local enable_mergejoin = off',
) }}

with recursive

starts as (
    select * from {{ pending('int_plan_starts', 'batches') }}
),

stored_days as (
    select * from {{ pending('int_plan_stored_days', 'batches') }}
),

batches as (
    select * from {{ ref('stg_batches') }}
),

lifecycle_stages as (
    select * from {{ ref('stg_lifecycle_stages') }}
),

profile_temperatures as not materialized (
    select * from {{ ref('int_profile_temperatures') }}
),

profile_spans as (
    select
        temperature_profile_id,
        min(first_day) as first_day,
        max(last_day) as last_day
    from profile_temperatures
    group by temperature_profile_id
),

parameters as materialized (
    select
        parameters.batch_id,
        parameters.scenario_id,
        parameters.lifecycle_stage_id,
        parameters.next_lifecycle_stage_id,
        parameters.tgc,
        parameters.exponent_n,
        parameters.exponent_m,
        parameters.daily_mortality_rate,
        parameters.max_weight_g,
        -- Fish that do not grow reach no limit: they leave their stage with time.
        case
            when coalesce(parameters.tgc, 0) <= 0
                then
                    coalesce(
                        lifecycle_stages.typical_duration_days,
                        {{ growth_constant('days_without_growth') }}
                    )
        end as stage_days,
        periods.period_start_day,
        periods.next_period_start_day,
        profile_spans.temperature_profile_id,
        profile_spans.first_day,
        profile_spans.last_day
    from {{ pending('int_plan_parameters', 'batches', alias='parameters') }}
    inner join {{ pending('int_plan_periods', 'batches', alias='periods') }}
        on
            parameters.batch_id = periods.batch_id
            and parameters.scenario_id is not distinct from periods.scenario_id
            and parameters.period_start_day = periods.period_start_day
    left join lifecycle_stages
        on parameters.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
    left join profile_spans
        on coalesce(periods.temperature_profile_id, 0) = profile_spans.temperature_profile_id
),

last_stored_days as (
    select distinct on (batch_id, scenario_id) *
    from stored_days
    order by batch_id asc, scenario_id asc, state_date desc
),

step as (
    -- Row 0: the last stored day, or the fish of the plan's start, the day before.
    select
        starts.batch_id,
        starts.scenario_id,
        starts.planned_date,
        starts.last_date,
        batches.start_date as batch_start_date,
        coalesce(last_stored_days.state_date, starts.start_date - 1) as state_date,
        coalesce(last_stored_days.population, starts.population) as population,
        coalesce(last_stored_days.weight_g, starts.weight_g) as weight_g,
        0::double precision as mortality_carry,
        coalesce(last_stored_days.lifecycle_stage_id, starts.lifecycle_stage_id)
            as lifecycle_stage_id,
        0 as days_in_stage,
        false as is_computed
    from starts
    inner join batches on starts.batch_id = batches.batch_id
    left join last_stored_days
        on
            starts.batch_id = last_stored_days.batch_id
            and starts.scenario_id is not distinct from last_stored_days.scenario_id

    union all

    (
        with yesterday as materialized (
            select
                *,
                state_date + 1 as today,
                state_date + 2 - batch_start_date as day_number
            from step
            where state_date < last_date
        ),

        -- Beyond a profile's days its first or last one is held. Beyond what is planned, and lived,
        -- a plan ends when its fish have outgrown the last stage.
        warmed as (
            select
                yesterday.*,
                parameters.next_lifecycle_stage_id,
                parameters.tgc,
                parameters.exponent_n,
                parameters.exponent_m,
                parameters.max_weight_g,
                parameters.stage_days,
                profile.temp_c,
                yesterday.population * coalesce(parameters.daily_mortality_rate, 0)
                + yesterday.mortality_carry as expected_deaths
            from yesterday
            left join parameters
                on
                    yesterday.batch_id = parameters.batch_id
                    and yesterday.lifecycle_stage_id = parameters.lifecycle_stage_id
                    and yesterday.scenario_id is not distinct from parameters.scenario_id
                    and greatest(yesterday.day_number, 1) >= parameters.period_start_day
                    and coalesce(
                        greatest(yesterday.day_number, 1) < parameters.next_period_start_day, true
                    )
            left join lateral (
                select profile_temperatures.temp_c
                from profile_temperatures
                where
                    parameters.temperature_profile_id = profile_temperatures.temperature_profile_id
                    and least(
                        greatest(yesterday.day_number, parameters.first_day), parameters.last_day
                    ) = profile_temperatures.day_number
                limit 1
            ) as profile on true
            where
                coalesce(yesterday.state_date < yesterday.planned_date, false)
                or parameters.next_lifecycle_stage_id is not null
                or coalesce(yesterday.weight_g < parameters.max_weight_g, true)
        ),

        -- No plan grows a fish beyond what a fish can weigh.
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
                next_lifecycle_stage_id is not null
                and (
                    coalesce(grown_weight_g >= max_weight_g - 1e-9, false)
                    or coalesce(days_in_stage + 1 >= stage_days, false)
                ) as is_stage_left
            from grown
        )

        select
            batch_id,
            scenario_id,
            planned_date,
            last_date,
            batch_start_date,
            today as state_date,
            population - mortality_count as population,
            grown_weight_g as weight_g,
            expected_deaths - mortality_count as mortality_carry,
            case when is_stage_left then next_lifecycle_stage_id else lifecycle_stage_id end
                as lifecycle_stage_id,
            case when is_stage_left then 0 else days_in_stage + 1 end as days_in_stage,
            true as is_computed
        from staged
    )
),

days as (
    select
        batch_id,
        scenario_id,
        state_date,
        lifecycle_stage_id,
        population,
        weight_g,
        'stored_run' as plan_source
    from stored_days

    union all

    select
        batch_id,
        scenario_id,
        state_date,
        lifecycle_stage_id,
        population,
        weight_g,
        'computed' as plan_source
    from step
    where is_computed
),

final as (
    select
        days.batch_id,
        days.scenario_id,
        days.state_date,
        days.lifecycle_stage_id,
        days.population,
        days.weight_g,
        days.plan_source,
        starts.is_in_force,
        starts.is_pinned
    from days
    inner join starts
        on
            days.batch_id = starts.batch_id
            and days.scenario_id is not distinct from starts.scenario_id
)

select * from final
