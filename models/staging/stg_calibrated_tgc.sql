with

source as (
    select
        calibration_id,
        lifecycle_stage_id,
        site_kind,
        site_id,
        site_name,
        tgc_model,
        tgc_fitted,
        tgc,
        tgc_low,
        tgc_high,
        tgc_factor,
        tgc_factor_variance,
        anchor_pair_count
    from {{ source('ops', 'calibrated_tgc') }}
),

renamed as (
    select
        -- keys
        calibration_id,
        lifecycle_stage_id,
        site_id,

        -- properties
        site_kind,
        site_name,

        -- measures
        tgc_model,
        tgc_fitted,
        tgc,
        tgc_low,
        tgc_high,
        tgc_factor,
        tgc_factor_variance,
        anchor_pair_count
    from source
)

select * from renamed
