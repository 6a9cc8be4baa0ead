-- One row per assignment and day on which fish were harvested from it: what its lots say.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with used_lots as (
    select * from {{ examined('int_harvest_lots_checked') }}
    where
        reject_reason is null
        and fish_count > 0
        and harvest_date <= {{ as_of_date() }}{{ and_examined(['assignment_id']) }}
),

harvest_lots as (
    select * from {{ ref('stg_harvest_lots') }}
),

weighed as (
    select
        used_lots.*,
        case when harvest_lots.live_weight_kg > 0 then harvest_lots.live_weight_kg end
            as live_weight_kg,
        case when harvest_lots.gutted_weight_kg > 0 then harvest_lots.gutted_weight_kg end
            as gutted_weight_kg
    from used_lots
    inner join harvest_lots on used_lots.harvest_lot_id = harvest_lots.harvest_lot_id
),

final as (
    select
        assignment_id,
        harvest_date,
        count(*) as lot_count,
        sum(fish_count)::bigint as harvested_count,
        (sum(fish_count) filter (where live_weight_kg is not null))::bigint as weighed_count,
        sum(live_weight_kg) as live_weight_kg,
        sum(live_weight_kg) filter (where gutted_weight_kg is not null)
            as gutted_live_weight_kg,
        sum(gutted_weight_kg) as gutted_weight_kg
    from weighed
    group by assignment_id, harvest_date
)

select * from final
