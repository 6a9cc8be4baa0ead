-- One row per single value of a used raw record that cannot be true: the record counts, the
-- value does not.
{{ config(
    meta={'examined_by': ['batch_id', 'assignment_id']},
    indexes=[
        {'columns': ['batch_id']},
        {'columns': ['assignment_id']},
    ],
) }}

with assignments as (
    select * from {{ examined('int_assignments_checked') }} where reject_reason is null
),

-- The column holds the weight of its day only at the start; anything else is checked, too.
assignment_weights as (
    select
        'batch_batchcontainerassignment' as table_name,
        assignment_id as record_id,
        'weight out of range' as reason,
        avg_weight_g::text as value,
        batch_id,
        assignment_id
    from assignments
    where avg_weight_g is not null and not {{ is_plausible_weight('avg_weight_g') }}
),

population_counts as (
    select
        'batch_batchcontainerassignment' as table_name,
        assignment_id as record_id,
        'negative count' as reason,
        population_count::text as value,
        batch_id,
        assignment_id
    from assignments
    where population_count < 0
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
        mortality_during_transfer::text as value,
        null::bigint as batch_id,
        source_assignment_id as assignment_id
    from {{ examined('int_transfer_actions_checked') }}
    where
        reject_reason is null
        and mortality_during_transfer > 0
        and (
            not {{ is_credible_transfer_mortality() }}
            or source_assignment_id in (
                select inferred_transfers.source_assignment_id
                from {{ examined('int_inferred_transfers', 'inferred_transfers') }}
            )
        )
),

transfer_counts as (
    select
        'batch_transferaction' as table_name,
        transfer_actions.transfer_action_id as record_id,
        'negative count' as reason,
        least(
            transfer_actions.source_population_before, transfer_actions.mortality_during_transfer
        )::text as value,
        null::bigint as batch_id,
        transfer_actions.source_assignment_id as assignment_id
    from {{ examined('stg_transfer_actions', 'transfer_actions') }}
    inner join {{ examined('int_transfer_actions_checked', 'checked') }}
        on transfer_actions.transfer_action_id = checked.transfer_action_id
    where
        checked.reject_reason is null
        and (
            transfer_actions.source_population_before < 0
            or transfer_actions.mortality_during_transfer < 0
        )
),

pins as (
    select
        'batch_batch' as table_name,
        batches.batch_id as record_id,
        'pinned projection run is missing or its scenario is rejected' as reason,
        batches.pinned_projection_run_id::text as value,
        batches.batch_id,
        null::bigint as assignment_id
    from {{ examined('stg_batches', 'batches') }}
    inner join {{ examined('int_batch_scenarios', 'batch_scenarios') }}
        on batches.batch_id = batch_scenarios.batch_id
    where
        batches.pinned_projection_run_id is not null
        and batch_scenarios.scenario_source <> 'pinned_run'

    union all

    select
        'batch_batch' as table_name,
        batches.batch_id as record_id,
        'pinned scenario is missing or rejected' as reason,
        batches.pinned_scenario_id::text as value,
        batches.batch_id,
        null::bigint as assignment_id
    from {{ examined('stg_batches', 'batches') }}
    inner join {{ examined('int_batch_scenarios', 'batch_scenarios') }}
        on batches.batch_id = batch_scenarios.batch_id
    where
        batches.pinned_scenario_id is not null
        and batch_scenarios.scenario_source not in ('pinned_run', 'pinned_scenario')
),

final as (
    select * from assignment_weights
    union all
    select * from population_counts
    union all
    select * from transfer_mortality
    union all
    select * from transfer_counts
    union all
    select * from pins
)

select * from final
