-- One row per life stage and site, and per stage over all sites, of the newest calibration: what
-- the TGC of a scenario is multiplied by. Empty before the first calibration. A view, so that a
-- calibration counts as soon as it is made.
{{ config(materialized='view') }}

with calibrations as (
    select * from {{ ref('stg_calibrations') }}
),

calibrated_tgc as (
    select * from {{ ref('stg_calibrated_tgc') }}
),

newest as (
    select max(calibration_id) as calibration_id from calibrations
),

final as (
    select
        calibrated_tgc.lifecycle_stage_id,
        calibrated_tgc.site_kind,
        calibrated_tgc.site_id,
        calibrated_tgc.tgc_factor,
        calibrated_tgc.tgc_factor_variance
    from newest
    inner join calibrated_tgc on newest.calibration_id = calibrated_tgc.calibration_id
)

select * from final
