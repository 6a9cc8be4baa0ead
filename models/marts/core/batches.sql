-- One row per batch: what it is, the plan in force, and the batches it is tied to.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id'], 'unique': true},
        {'columns': ['lineage_id']},
    ],
) }}

with

batches as (
    select * from {{ examined('stg_batches') }}
),

species as (
    select * from {{ ref('stg_species') }}
),

batch_scenarios as (
    select * from {{ examined('int_batch_scenarios') }}
),

lineages as (
    select * from {{ examined('int_lineages') }}
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

-- The first day alone: the last one moves on every day, and would rewrite each active batch.
first_days as (
    select
        batch_id,
        min(assignment_date) as first_state_date
    from assignments
    where last_active_date >= assignment_date
    group by batch_id
),

final as (
    select
        -- keys
        batches.batch_id,
        lineages.lineage_id,
        batch_scenarios.scenario_id,

        -- properties
        batches.batch_number,
        batches.batch_status,
        batches.batch_type,
        species.species_name,
        batch_scenarios.scenario_name,
        batch_scenarios.scenario_source,

        -- dates
        batches.start_date,
        batches.expected_end_date,
        batches.actual_end_date,
        first_days.first_state_date
    from batches
    left join species on batches.species_id = species.species_id
    left join batch_scenarios on batches.batch_id = batch_scenarios.batch_id
    left join lineages on batches.batch_id = lineages.batch_id
    left join first_days on batches.batch_id = first_days.batch_id
)

select * from final
