-- One row per raw record, or value of a record, that cannot be true and is not used, as far as
-- this is known before the recursion.
with rejected as (
    {{ rejects('int_assignments_checked', 'batch_batchcontainerassignment', 'assignment_id') }}
    union all
    {{ rejects('int_scenarios_checked', 'scenario', 'scenario_id') }}
    union all
    {{ rejects(
        'int_scenario_model_changes_checked', 'scenario_scenariomodelchange',
        'scenario_model_change_id'
    ) }}
    union all
    {{ rejects('int_creation_actions_checked', 'batch_creationaction', 'creation_action_id') }}
    union all
    {{ rejects('int_transfer_actions_checked', 'batch_transferaction', 'transfer_action_id') }}
    union all
    {{ rejects('int_transfer_weighings', 'batch_transferaction', 'transfer_action_id') }}
    union all
    {{ rejects('int_harvest_lots_checked', 'harvest_harvestlot', 'harvest_lot_id') }}
    union all
    {{ rejects('int_growth_samples_checked', 'batch_growthsample', 'growth_sample_id') }}
    union all
    {{ rejects('int_vaccination_weighings', 'health_treatment', 'treatment_id') }}
    union all
    {{ rejects(
        'int_health_samplings_checked', 'health_healthsamplingevent', 'health_sampling_event_id'
    ) }}
    union all
    {{ rejects(
        'int_fish_observations_checked', 'health_individualfishobservation',
        'individual_fish_observation_id', value='weight_g::text'
    ) }}
    union all
    {{ rejects('int_manual_anchors_checked', 'anchorline_ops.manual_anchors', 'manual_anchor_id') }}
    union all
    {{ rejects('int_feeding_events_checked', 'inventory_feedingevent', 'feeding_event_id') }}
    union all
    select
        table_name,
        record_id,
        reject_reason as reason,
        reject_value as value
    from {{ ref('int_recorded_deaths_checked') }}
    where reject_reason is not null
),

readings as (
    select
        'environmental_environmentalreading' as table_name,
        rejected_reading.reading_id as record_id,
        'temperature out of range' as reason,
        rejected_reading.reading_value::text as value
    from {{ ref('int_container_day_readings') }} as day_readings
    cross join lateral
        unnest(day_readings.rejected_reading_ids, day_readings.rejected_values)
            as rejected_reading (reading_id, reading_value)
    where day_readings.rejected_reading_ids is not null
),

final as (
    select * from rejected
    union all
    select * from readings
    union all
    select * from {{ ref('int_rejected_values') }}
)

select * from final
