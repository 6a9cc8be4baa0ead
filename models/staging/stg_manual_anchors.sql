{{ config(meta={'examined_by': ['assignment_id']}) }}

with

source as (
    select
        manual_anchor_id,
        assignment_id,
        anchor_date,
        weight_g,
        reason,
        entered_by,
        entered_at
    from {{ source('ops', 'manual_anchors') }}
    where removed_at is null
),

renamed as (
    select
        -- keys
        manual_anchor_id,
        assignment_id,

        -- properties
        reason,
        entered_by,

        -- dates
        anchor_date,

        -- measures
        weight_g::double precision as weight_g
    from source
)

select * from renamed
