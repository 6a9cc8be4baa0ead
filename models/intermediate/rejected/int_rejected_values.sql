-- One row per single value of a used raw record that cannot be true: the record counts, the
-- value does not.
with assignments as (
    select * from {{ ref('int_assignments_checked') }} where reject_reason is null
),

-- The column holds the weight of its day only at the start; anything else is checked, too.
assignment_weights as (
    select
        'batch_batchcontainerassignment' as table_name,
        assignment_id as record_id,
        'weight out of range' as reason,
        avg_weight_g::text as value
    from assignments
    where avg_weight_g is not null and not {{ is_plausible_weight('avg_weight_g') }}
),

population_counts as (
    select
        'batch_batchcontainerassignment' as table_name,
        assignment_id as record_id,
        'negative count' as reason,
        population_count::text as value
    from assignments
    where population_count < 0
),

scenario_weights as (
    select
        'scenario' as table_name,
        scenario_id as record_id,
        'weight out of range' as reason,
        initial_weight_g::text as value
    from {{ ref('stg_scenarios') }}
    where initial_weight_g is not null and not {{ is_plausible_weight('initial_weight_g') }}
),

transfer_mortality as (
    select
        'batch_transferaction' as table_name,
        transfer_action_id as record_id,
        case
            when {{ is_credible_transfer_mortality() }}
                then 'transfer mortality of a source whose fish went elsewhere unrecorded'
            else 'transfer mortality too high to be deaths'
        end as reason,
        mortality_during_transfer::text as value
    from {{ ref('int_transfer_actions_checked') }}
    where
        reject_reason is null
        and mortality_during_transfer > 0
        and (
            not {{ is_credible_transfer_mortality() }}
            or source_assignment_id in (
                select inferred_transfers.source_assignment_id
                from {{ ref('int_inferred_transfers') }} as inferred_transfers
            )
        )
),

source_populations as (
    select
        'batch_transferaction' as table_name,
        transfer_action_id as record_id,
        'negative count' as reason,
        source_population_before::text as value
    from {{ ref('stg_transfer_actions') }}
    where
        source_population_before < 0
        and transfer_action_id in (
            select used.transfer_action_id
            from {{ ref('int_transfer_actions_checked') }} as used
            where used.reject_reason is null
        )
),

pins as (
    select
        'batch_batch' as table_name,
        batches.batch_id as record_id,
        'pinned projection run is missing or its scenario is rejected' as reason,
        batches.pinned_projection_run_id::text as value
    from {{ ref('stg_batches') }} as batches
    inner join {{ ref('int_batch_scenarios') }} as batch_scenarios
        on batches.batch_id = batch_scenarios.batch_id
    where
        batches.pinned_projection_run_id is not null
        and batch_scenarios.scenario_source <> 'pinned_run'

    union all

    select
        'batch_batch' as table_name,
        batches.batch_id as record_id,
        'pinned scenario is missing or rejected' as reason,
        batches.pinned_scenario_id::text as value
    from {{ ref('stg_batches') }} as batches
    inner join {{ ref('int_batch_scenarios') }} as batch_scenarios
        on batches.batch_id = batch_scenarios.batch_id
    where
        batches.pinned_scenario_id is not null
        and batch_scenarios.scenario_source not in ('pinned_run', 'pinned_scenario')
),

profile_temperatures as (
    select
        'scenario_temperaturereading' as table_name,
        temperature_profile_day_id as record_id,
        'temperature out of range' as reason,
        temp_c::text as value
    from {{ ref('stg_temperature_profile_days') }}
    where
        temp_c is not null
        and temp_c not between {{ plausible('temp', 'min_value') }}
        and {{ plausible('temp', 'max_value') }}
),

tgc_models as (
    select
        'scenario_tgcmodel' as table_name,
        tgc_model_id as record_id,
        'TGC out of range' as reason,
        tgc_value::text as value
    from {{ ref('stg_tgc_models') }}
    where tgc_value is not null and {{ plausible_tgc('tgc_value') }} is null
),

tgc_model_stages as (
    select
        'scenario_tgc_model_stage' as table_name,
        tgc_model_stage_id as record_id,
        'TGC out of range' as reason,
        tgc_value::text as value
    from {{ ref('stg_tgc_model_stages') }}
    where tgc_value is not null and {{ plausible_tgc('tgc_value') }} is null
),

final as (
    select * from assignment_weights
    union all
    select * from population_counts
    union all
    select * from scenario_weights
    union all
    select * from transfer_mortality
    union all
    select * from source_populations
    union all
    select * from pins
    union all
    select * from profile_temperatures
    union all
    select * from tgc_models
    union all
    select * from tgc_model_stages
)

select * from final
