-- One row per batch and template for fish of little resistance, where a breeding plan behind the
-- batch weighs disease resistance too low: the lowest weight, and the day from which it is known.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'activity_template_id'], 'unique': true},
    ],
) }}

with parentages as (
    select * from {{ pending('stg_batch_parentages', 'batches') }}
),

egg_productions as (
    select * from {{ ref('stg_egg_productions') }}
),

breeding_pairs as (
    select * from {{ ref('stg_breeding_pairs') }}
),

priorities as (
    select * from {{ ref('stg_breeding_trait_priorities') }}
    where
        trait_key = 'diseaseresistance'
        and priority_weight < {{ planning_constant('least_resistance_priority') }}
),

batches as (
    select * from {{ ref('stg_batches') }}
),

templates as (
    select * from {{ ref('stg_activity_templates') }}
    where is_active and trigger_type = 'GENETIC_THRESHOLD'
),

susceptible as (
    select distinct on (batches.batch_id)
        batches.batch_id,
        greatest(batches.start_date, parentages.parentage_date) as triggered_date,
        priorities.priority_weight as resistance_priority
    from parentages
    inner join egg_productions on parentages.egg_production_id = egg_productions.egg_production_id
    inner join breeding_pairs on egg_productions.breeding_pair_id = breeding_pairs.breeding_pair_id
    inner join priorities on breeding_pairs.breeding_plan_id = priorities.breeding_plan_id
    inner join batches on parentages.batch_id = batches.batch_id
    order by batches.batch_id, priorities.priority_weight, triggered_date
),

final as (
    select
        susceptible.batch_id,
        templates.activity_template_id,
        case when susceptible.triggered_date <= {{ as_of_date() }} then 'fired' else 'expected' end
            as trigger_status,
        susceptible.triggered_date,
        susceptible.resistance_priority
    from susceptible
    cross join templates
)

select * from final
