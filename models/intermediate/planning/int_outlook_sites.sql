-- One row per site at which fish stand: a fingerprint of what its outlook follows from
-- besides their forecasts.
{{ config(materialized='view') }}

with stays as (
    select * from {{ ref('int_outlook_stays') }}
),

outlook as (
    select max(computed_date) as first_date from stays
),

final as (
    select
        stays.site_kind,
        stays.site_id,
        hash_record_extended(
            row(
                outlook.first_date, array_agg(stays.assignment_id order by stays.assignment_id)
            ),
            0
        ) as inputs_hash
    from stays
    cross join outlook
    where stays.site_id is not null
    group by stays.site_kind, stays.site_id, outlook.first_date
)

select * from final
