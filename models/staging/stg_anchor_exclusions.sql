with

source as (
    select
        anchor_exclusion_id,
        anchor_type,
        record_id,
        reason,
        excluded_by,
        excluded_at
    from {{ source('ops', 'anchor_exclusions') }}
    where removed_at is null
),

renamed as (
    select
        -- keys
        anchor_exclusion_id,
        anchor_type,
        record_id,

        -- properties
        reason,
        excluded_by
    from source
)

select * from renamed
