-- One row per life stage of a species, in the order in which fish pass through them.
{{ config(indexes=[{'columns': ['lifecycle_stage_id'], 'unique': true}]) }}

with

lifecycle_stages as (
    select * from {{ ref('stg_lifecycle_stages') }}
),

species as (
    select * from {{ ref('stg_species') }}
),

final as (
    select
        -- keys
        lifecycle_stages.lifecycle_stage_id,
        lifecycle_stages.species_id,

        -- properties
        species.species_name,
        lifecycle_stages.lifecycle_stage_name,
        lifecycle_stages.stage_order,

        -- measures
        lifecycle_stages.expected_weight_min_g,
        lifecycle_stages.expected_weight_max_g
    from lifecycle_stages
    left join species on lifecycle_stages.species_id = species.species_id
)

select * from final
