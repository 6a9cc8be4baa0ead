-- One row per open assignment: from when on its fish are expected to stand elsewhere.
{{ config(materialized='view') }}

with starts as (
    select * from {{ ref('int_forecast_starts') }}
),

dates as (
    select * from {{ ref('int_forecast_dates') }}
),

container_sites as (
    select * from {{ ref('int_container_sites') }}
),

-- A batch that has not been looked at since has an older forecast: no day counts of which not all
-- forecasts speak.
outlook as (
    select max(computed_date) as first_date from starts
),

-- At sea fish stay in their pen until they are harvested; on land each stage has halls of its own.
final as (
    select
        starts.assignment_id,
        starts.batch_id,
        starts.container_id,
        outlook.first_date,
        case
            when container_sites.site_kind = 'area' then dates.expected_harvest_date
            else least(dates.expected_transfer_date, dates.expected_harvest_date)
        end as leaving_date
    from starts
    cross join outlook
    inner join dates on starts.assignment_id = dates.assignment_id
    left join container_sites on starts.container_id = container_sites.container_id
)

select * from final
