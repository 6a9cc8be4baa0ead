-- One row per batch, plan, period between model changes and lifecycle stage of the batch's species:
-- every parameter of the growth model that depends on the stage the fish have reached.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}
{%- set baseline_coefficient
    = 'baseline_stages.tgc' if growth_formula() == 'cube_root'
    else 'baseline_stages.power_law_coefficient' %}

with periods as (
    select * from {{ examined('int_plan_periods') }}
),

-- The species is that of the stages in which the batch's assignments start.
batch_species as (
    select distinct
        batch_id,
        species_id
    from {{ examined('int_assignments') }}
),

lifecycle_stages as (
    select * from {{ ref('int_lifecycle_stage_order') }}
),

tgc_models as (
    select * from {{ ref('stg_tgc_models') }}
),

tgc_model_stages as (
    select * from {{ ref('int_tgc_model_stages') }}
),

mortality_rates as (
    select * from {{ ref('int_mortality_rates') }}
),

stage_constraints as (
    select * from {{ ref('int_stage_constraints') }}
),

baseline_stages as (
    select * from {{ ref('baseline_stages') }}
),

stages as (
    select
        periods.*,
        lifecycle_stages.lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_key,
        lifecycle_stages.next_lifecycle_stage_id,
        lifecycle_stages.expected_weight_max_g,
        case
            when exists (
                select 1 from baseline_stages
                where baseline_stages.lifecycle_stage_key = lifecycle_stages.lifecycle_stage_key
            ) then lifecycle_stages.lifecycle_stage_key
            else 'default'
        end as baseline_key
    from periods
    inner join batch_species on periods.batch_id = batch_species.batch_id
    inner join lifecycle_stages on batch_species.species_id = lifecycle_stages.species_id
),

found as (
    select
        stages.batch_id,
        stages.scenario_id,
        stages.is_in_force,
        stages.period_start_day,
        stages.lifecycle_stage_id,
        stages.next_lifecycle_stage_id,
        case
            when stages.tgc_model_id is null then {{ baseline_coefficient }}
            else
                coalesce(
                    {{ plausible_tgc('tgc_model_stages.tgc_value') }},
                    {{ plausible_tgc('tgc_models.tgc_value') }},
                    {{ baseline_coefficient }}
                )
        end as stored_tgc,
        coalesce(tgc_model_stages.exponent_n, tgc_models.exponent_n, baseline_stages.exponent_n)
            as exponent_n,
        coalesce(tgc_model_stages.exponent_m, tgc_models.exponent_m, baseline_stages.exponent_m)
            as exponent_m,
        coalesce(
            stage_rates.daily_mortality_rate,
            model_rates.daily_mortality_rate,
            baseline_stages.daily_mortality_rate_percent / 100
        ) as daily_mortality_rate,
        stage_constraints.min_weight_g,
        coalesce(stage_constraints.max_weight_g, stages.expected_weight_max_g)
            as max_weight_g
    from stages
    left join tgc_models on stages.tgc_model_id = tgc_models.tgc_model_id
    left join tgc_model_stages
        on
            stages.tgc_model_id = tgc_model_stages.tgc_model_id
            and stages.lifecycle_stage_key = tgc_model_stages.lifecycle_stage_key
    left join mortality_rates as model_rates
        on
            stages.mortality_model_id = model_rates.mortality_model_id
            and model_rates.lifecycle_stage_key is null
    left join mortality_rates as stage_rates
        on
            stages.mortality_model_id = stage_rates.mortality_model_id
            and stages.lifecycle_stage_key = stage_rates.lifecycle_stage_key
    left join stage_constraints
        on
            stages.constraint_set_id = stage_constraints.constraint_set_id
            and stages.lifecycle_stage_key = stage_constraints.lifecycle_stage_key
    inner join baseline_stages on stages.baseline_key = baseline_stages.lifecycle_stage_key
),

final as (
    select
        batch_id,
        scenario_id,
        is_in_force,
        period_start_day,
        lifecycle_stage_id,
        next_lifecycle_stage_id,
        {%- if growth_formula() == 'cube_root' %}
        {{ scaled_tgc('stored_tgc') }} as tgc,
        {%- else %}
        stored_tgc as tgc,
        {%- endif %}
        exponent_n,
        exponent_m,
        daily_mortality_rate,
        min_weight_g,
        max_weight_g
    from found
)

select * from final
