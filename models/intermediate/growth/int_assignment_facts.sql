-- One row per usable assignment: fingerprints of what its rows in the marts show beside its daily
-- inputs. `labels_hash`: names, limits and the scenario, which stand on every day. `facts_hash`:
-- its stay, its movements, its measurements, its harvests, its end. `measurements_hash`: of these
-- the movements and measurements, which tell how well the weight of fish is known, also where they
-- go.
{{ config(
    meta={'examined_by': ['batch_id', 'assignment_id']},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
        {'columns': ['batch_id']},
    ],
) }}

with assignments as (
    select * from {{ examined('int_assignments') }}
),

batches as (
    select * from {{ examined('stg_batches') }}
),

batch_scenarios as (
    select * from {{ examined('int_batch_scenarios') }}
),

containers as (
    select * from {{ ref('stg_containers') }}
),

model_fcr as (
    select
        batch_id,
        hash_array_extended(
            array_agg(
                hash_record_extended(row(model_fcr.*), 0)
                order by first_day_number, lifecycle_stage_id, min_weight_g
            ),
            0
        ) as model_fcr_hash
    from {{ examined('int_model_fcr', 'model_fcr') }}
    group by batch_id
),

harvests as (
    select
        assignment_id,
        hash_array_extended(
            array_agg(hash_record_extended(row(harvests.*), 0) order by harvest_date), 0
        ) as harvests_hash
    from {{ examined('int_harvests', 'harvests') }}
    group by assignment_id
),

stage_names as (
    select
        species_id,
        hash_array_extended(
            array_agg(
                hash_record_extended(row(lifecycle_stage_id, lifecycle_stage_name), 0)
                order by lifecycle_stage_id
            ),
            0
        ) as stage_names_hash
    from {{ ref('stg_lifecycle_stages') }}
    group by species_id
),

stocking as (
    select * from {{ examined('int_stocking') }}
),

departure_days as (
    select * from {{ examined('int_departure_days') }}
),

movements as (
    select * from {{ examined('int_movements') }}
),

arrivals as (
    select
        to_assignment_id as assignment_id,
        hash_array_extended(
            array_agg(hash_record_extended(row(movements.*), 0) order by movement_key), 0
        ) as arrivals_hash
    from movements
    where to_assignment_id is not null
    group by to_assignment_id
),

departures as (
    select
        from_assignment_id as assignment_id,
        hash_array_extended(
            array_agg(hash_record_extended(row(movements.*), 0) order by movement_key), 0
        ) as departures_hash
    from movements
    where from_assignment_id is not null
    group by from_assignment_id
),

measurements as (
    select
        measurements.assignment_id,
        hash_array_extended(
            array_agg(
                hash_record_extended(
                    row(measurements.*, transfer_weighings.mean_weight_before_g), 0
                )
                order by measurements.anchor_type, measurements.record_id
            ),
            0
        ) as measurements_hash
    from {{ examined('int_anchor_measurements', 'measurements') }}
    left join {{ examined('int_transfer_weighings', 'transfer_weighings') }}
        on
            measurements.anchor_type = 'transfer'
            and measurements.record_id = transfer_weighings.transfer_action_id
    group by measurements.assignment_id
),

final as (
    select
        assignments.assignment_id,
        assignments.batch_id,
        assignments.assignment_date,
        assignments.last_active_date,
        hash_record_extended(
            row(
                batches.batch_number,
                containers.container_name,
                containers.volume_m3,
                containers.max_biomass_kg,
                model_fcr.model_fcr_hash,
                stage_names.stage_names_hash,
                batch_scenarios.scenario_id,
                batch_scenarios.scenario_source
            ),
            0
        ) as labels_hash,
        hash_record_extended(
            row(
                assignments.*,
                stocking.*,
                departure_days.*,
                arrivals.arrivals_hash,
                departures.departures_hash,
                measurements.measurements_hash,
                harvests.harvests_hash,
                assignments.end_date <= {{ as_of_date() }},
                assignments.end_date < {{ as_of_date() }}
            ),
            0
        ) as facts_hash,
        hash_record_extended(
            row(arrivals.arrivals_hash, departures.departures_hash, measurements.measurements_hash),
            0
        ) as measurements_hash
    from assignments
    left join batches on assignments.batch_id = batches.batch_id
    left join batch_scenarios on assignments.batch_id = batch_scenarios.batch_id
    left join containers on assignments.container_id = containers.container_id
    left join stage_names on assignments.species_id = stage_names.species_id
    left join stocking on assignments.assignment_id = stocking.assignment_id
    left join departure_days on assignments.assignment_id = departure_days.assignment_id
    left join arrivals on assignments.assignment_id = arrivals.assignment_id
    left join departures on assignments.assignment_id = departures.assignment_id
    left join model_fcr on assignments.batch_id = model_fcr.batch_id
    left join harvests on assignments.assignment_id = harvests.assignment_id
    left join measurements on assignments.assignment_id = measurements.assignment_id
)

select * from final
