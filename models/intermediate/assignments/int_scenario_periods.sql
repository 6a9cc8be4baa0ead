-- One row per batch and period between model changes of the scenario in force: the models from a
-- day of the batch on.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

select
    batch_id,
    period_start_day,
    next_period_start_day,
    scenario_id,
    tgc_model_id,
    mortality_model_id,
    fcr_model_id,
    constraint_set_id,
    temperature_profile_id
from {{ examined('int_plan_periods') }}
where is_in_force
