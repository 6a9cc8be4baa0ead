with

source as (
    select
        calibration_id,
        calibrated_at,
        calibrated_by,
        as_of_date,
        anchor_pair_count,
        process_noise,
        process_noise_low,
        process_noise_high,
        sample_bias,
        sample_bias_low,
        sample_bias_high,
        error_before_pct,
        error_after_pct,
        engine_version
    from {{ source('ops', 'calibrations') }}
),

renamed as (
    select
        -- key
        calibration_id,

        -- properties
        calibrated_by,

        -- dates
        calibrated_at,
        as_of_date,

        -- measures
        anchor_pair_count,
        process_noise,
        process_noise_low,
        process_noise_high,
        sample_bias,
        sample_bias_low,
        sample_bias_high,
        error_before_pct,
        error_after_pct,
        engine_version
    from source
)

select * from renamed
