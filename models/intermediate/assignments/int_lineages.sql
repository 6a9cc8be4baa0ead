-- One row per batch: the lineage it belongs to, that is all batches tied together by movements
-- between them, named by its smallest batch id.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with recursive

batches as (
    select * from {{ examined('stg_batches') }}
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

movements as (
    select * from {{ examined('int_movements') }}
),

ties as (
    select distinct
        sources.batch_id,
        destinations.batch_id as tied_batch_id
    from movements
    inner join assignments as sources
        on movements.from_assignment_id = sources.assignment_id
    inner join assignments as destinations
        on movements.to_assignment_id = destinations.assignment_id
    where sources.batch_id <> destinations.batch_id
),

both_ways as (
    select
        batch_id,
        tied_batch_id
    from ties

    union

    select
        tied_batch_id as batch_id,
        batch_id as tied_batch_id
    from ties
),

reached as (
    select
        batch_id,
        batch_id as reached_batch_id
    from batches

    union

    select
        reached.batch_id,
        both_ways.tied_batch_id as reached_batch_id
    from reached
    inner join both_ways on reached.reached_batch_id = both_ways.batch_id
),

final as (
    select
        batch_id,
        min(reached_batch_id) as lineage_id
    from reached
    group by batch_id
)

select * from final
