-- One row per batch and period between model changes: a fingerprint of the parameters of all
-- its stages.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

select
    batch_id,
    period_start_day,
    hash_array_extended(
        array_agg(hash_record_extended(row(parameters.*), 0) order by lifecycle_stage_id), 0
    ) as parameters_hash
from {{ examined('int_growth_parameters', 'parameters') }}
group by batch_id, period_start_day
