-- One row per raw record, or value of a record, that cannot be true and is not used, as far as
-- this is known before the recursion; with the batch or assignment to which it belongs, where
-- that is known. Those that belong to no batch are in int_rejected_parameters.
{{ config(
    meta={'examined_by': [
        'batch_id', 'assignment_id', 'dest_assignment_id', 'harvest_event_id',
        'health_sampling_event_id', 'container_id'
    ]},
    indexes=[
        {'columns': ['batch_id']},
        {'columns': ['assignment_id']},
    ],
) }}

with rejected as (
    {{ rejects(
        'int_assignments_checked', 'batch_batchcontainerassignment', 'assignment_id',
        batch_id='batch_id', assignment_id='assignment_id'
    ) }}

    union all

    {{ rejects(
        'int_creation_actions_checked', 'batch_creationaction', 'creation_action_id',
        assignment_id='assignment_id'
    ) }}

    union all

    {{ rejects(
        'int_transfer_actions_checked', 'batch_transferaction', 'transfer_action_id',
        assignment_id='source_assignment_id', dest_assignment_id='dest_assignment_id'
    ) }}

    union all

    {{ rejects(
        'int_transfer_weighings', 'batch_transferaction', 'transfer_action_id',
        assignment_id='assignment_id'
    ) }}

    union all

    {{ rejects(
        'int_harvest_lots_checked', 'harvest_harvestlot', 'harvest_lot_id',
        assignment_id='assignment_id', harvest_event_id='harvest_event_id'
    ) }}

    union all

    {{ rejects(
        'int_growth_samples_checked', 'batch_growthsample', 'growth_sample_id',
        assignment_id='assignment_id'
    ) }}

    union all

    {{ rejects(
        'int_vaccination_weighings', 'health_treatment', 'treatment_id', batch_id='batch_id'
    ) }}

    union all

    {{ rejects(
        'int_health_samplings_checked', 'health_healthsamplingevent', 'health_sampling_event_id',
        assignment_id='assignment_id'
    ) }}

    union all

    {{ rejects(
        'int_fish_observations_checked', 'health_individualfishobservation',
        'individual_fish_observation_id', value='weight_g::text',
        health_sampling_event_id='health_sampling_event_id'
    ) }}

    union all

    {{ rejects(
        'int_manual_anchors_checked', 'anchorline_ops.manual_anchors', 'manual_anchor_id',
        assignment_id='assignment_id'
    ) }}

    union all

    {{ rejects(
        'int_feeding_events_checked', 'inventory_feedingevent', 'feeding_event_id',
        batch_id='recorded_batch_id', assignment_id='recorded_assignment_id',
        condition='(recorded_batch_id is not null or recorded_assignment_id is not null)'
    ) }}

    union all

    {{ rejects(
        'int_recorded_deaths_checked', none, 'record_id',
        batch_id='recorded_batch_id', assignment_id='recorded_assignment_id'
    ) }}
),

-- Feed that names the container alone belongs to no batch.
container_feed as (
    select
        'inventory_feedingevent' as table_name,
        feeding_event_id as record_id,
        reject_reason as reason,
        reject_value as value,
        null::bigint as batch_id,
        null::bigint as assignment_id,
        null::bigint as dest_assignment_id,
        null::bigint as harvest_event_id,
        null::bigint as health_sampling_event_id,
        container_id
    from {{ ref('int_feeding_events_checked') }}
    where
        reject_reason is not null
        {{ and_examined(['container_id']) }}
        and recorded_batch_id is null
        and recorded_assignment_id is null
),

readings as (
    select
        'environmental_environmentalreading' as table_name,
        rejected_reading.reading_id as record_id,
        'temperature out of range' as reason,
        rejected_reading.reading_value::text as value,
        null::bigint as batch_id,
        null::bigint as assignment_id,
        null::bigint as dest_assignment_id,
        null::bigint as harvest_event_id,
        null::bigint as health_sampling_event_id,
        day_readings.container_id
    from {{ examined('int_container_day_readings', 'day_readings') }}
    cross join lateral
        unnest(day_readings.rejected_reading_ids, day_readings.rejected_values)
            as rejected_reading (reading_id, reading_value)
    where day_readings.rejected_reading_ids is not null
),

final as (
    select * from rejected
    union all
    select * from container_feed
    union all
    select * from readings
    union all
    select
        table_name,
        record_id,
        reason,
        value,
        batch_id,
        assignment_id,
        null::bigint as dest_assignment_id,
        null::bigint as harvest_event_id,
        null::bigint as health_sampling_event_id,
        null::bigint as container_id
    from {{ examined('int_rejected_values') }}
)

select * from final
