-- One row per batch and version of its plan: from when to when which scenario was in force, with
-- which parameters. A view of a snapshot that no run swaps; without rows before the first one.
{{ config(materialized='view') }}
-- depends_on: {{ ref('scenarios_in_force') }}
{%- set snapshot = stored_relation('ops', 'scenarios_in_force', 'dbt_valid_to') %}

with versions as (
    {{ stored_rows(snapshot, {
        'dbt_scd_id': 'text', 'dbt_valid_from': 'timestamptz', 'dbt_valid_to': 'timestamptz',
        'batch_id': 'bigint', 'batch_number': 'text', 'scenario_id': 'bigint',
        'scenario_name': 'text', 'scenario_source': 'text',
        'pinned_projection_run_id': 'bigint', 'pinned_scenario_id': 'bigint',
        'tgc_model_id': 'bigint', 'mortality_model_id': 'bigint',
        'constraint_set_id': 'bigint', 'parameters': 'text'
    }, of_all=true) }}
),

final as (
    select
        -- keys
        dbt_scd_id as version_id,
        batch_id,
        batch_number,

        -- from when to when
        dbt_valid_from as valid_from,
        dbt_valid_to as valid_to,
        dbt_valid_to is null as is_in_force,

        -- which plan, and why this one
        scenario_id,
        scenario_name,
        scenario_source,
        pinned_projection_run_id,
        pinned_scenario_id,

        -- with what
        tgc_model_id,
        mortality_model_id,
        constraint_set_id,
        parameters
    from versions
)

select * from final
