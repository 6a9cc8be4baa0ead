-- One row per batch: its pins, the scenario in force, and with which parameters the batch is grown
-- by it, as a text. What the snapshot `scenarios_in_force` remembers.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id'], 'unique': true},
    ],
) }}

with batches as (
    select * from {{ examined('stg_batches') }}
),

batch_scenarios as (
    select * from {{ examined('int_batch_scenarios') }}
),

periods as (
    select * from {{ examined('int_scenario_periods') }}
),

growth_parameters as (
    select * from {{ examined('int_growth_parameters') }}
),

lifecycle_stages as (
    select * from {{ ref('stg_lifecycle_stages') }}
),

tgc_models as (
    select * from {{ ref('stg_tgc_models') }}
),

mortality_models as (
    select * from {{ ref('stg_mortality_models') }}
),

stage_texts as (
    select
        growth_parameters.batch_id,
        growth_parameters.period_start_day,
        string_agg(
            lifecycle_stages.lifecycle_stage_name || ': ' || concat_ws(
                ', ',
                'TGC ' || {{ readable_number('growth_parameters.tgc') }},
                {%- if growth_formula() == 'power_law' %}
                'n ' || {{ readable_number('growth_parameters.exponent_n') }},
                'm ' || {{ readable_number('growth_parameters.exponent_m') }},
                {%- endif %}
                'deaths '
                || {{ readable_number('100 * growth_parameters.daily_mortality_rate') }}
                || ' %/day',
                'from ' || {{ readable_number('growth_parameters.min_weight_g') }} || ' g',
                'to ' || {{ readable_number('growth_parameters.max_weight_g') }} || ' g'
            ),
            '; '
            order by lifecycle_stages.stage_order, lifecycle_stages.lifecycle_stage_id
        ) as stages
    from growth_parameters
    left join lifecycle_stages
        on growth_parameters.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
    group by growth_parameters.batch_id, growth_parameters.period_start_day
),

period_texts as (
    select
        periods.batch_id,
        string_agg(
            'From day ' || periods.period_start_day || ' (' || concat_ws(
                ', ',
                coalesce('TGC model ' || tgc_models.tgc_model_name, 'baseline TGC'),
                coalesce(
                    'mortality model ' || mortality_models.mortality_model_name,
                    'baseline mortality'
                ),
                'constraint set ' || periods.constraint_set_id,
                'temperature profile ' || periods.temperature_profile_id
            ) || ')' || coalesce(': ' || stage_texts.stages, ''),
            E'\n' order by periods.period_start_day
        ) as parameters
    from periods
    left join tgc_models on periods.tgc_model_id = tgc_models.tgc_model_id
    left join mortality_models
        on periods.mortality_model_id = mortality_models.mortality_model_id
    left join stage_texts
        on
            periods.batch_id = stage_texts.batch_id
            and periods.period_start_day = stage_texts.period_start_day
    group by periods.batch_id
),

final as (
    select
        -- keys
        batches.batch_id,
        batches.pinned_projection_run_id,
        batches.pinned_scenario_id,
        batch_scenarios.scenario_id,
        batch_scenarios.tgc_model_id,
        batch_scenarios.mortality_model_id,
        batch_scenarios.constraint_set_id,

        -- properties
        batches.batch_number,
        batch_scenarios.scenario_name,
        batch_scenarios.scenario_source,
        period_texts.parameters
    from batches
    inner join batch_scenarios on batches.batch_id = batch_scenarios.batch_id
    left join period_texts on batches.batch_id = period_texts.batch_id
)

select * from final
