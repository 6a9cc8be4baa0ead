-- One row per site (null: none), kind of period (month, quarter) and period in which fish that
-- stand there are expected to be harvested or transferred. A view over a few rows per open
-- assignment.
{{ config(materialized='view') }}

with container_forecast as (
    select * from {{ ref('container_forecast') }}
),

forecast_days as (
    select * from {{ ref('int_forecast_days') }}
),

stays as (
    select * from {{ ref('int_outlook_stays') }}
),

-- Three times each harvest: when it is expected, and if all came early, or late; with fish of
-- the same weight.
harvests as (
    select
        container_forecast.assignment_id,
        container_forecast.has_planned_harvest as is_planned,
        coalesce(
            container_forecast.expected_harvest_weight_g, container_forecast.harvest_weight_g
        ) as harvest_weight_g,
        quantiles.event_name,
        quantiles.event_date
    from container_forecast
    cross join lateral (
        values
        ('early_harvest', container_forecast.harvest_date_p10),
        ('harvest', container_forecast.expected_harvest_date),
        ('late_harvest', container_forecast.harvest_date_p90)
    ) as quantiles (event_name, event_date)
    where quantiles.event_date is not null
),

events as (
    select
        harvests.assignment_id,
        harvests.is_planned,
        harvests.event_name,
        harvests.event_date,
        forecast_days.population,
        forecast_days.population * harvests.harvest_weight_g / 1000 as biomass_kg
    from harvests
    inner join forecast_days
        on
            harvests.assignment_id = forecast_days.assignment_id
            and harvests.event_date = forecast_days.state_date

    union all

    select
        assignment_id,
        has_planned_transfer as is_planned,
        'transfer' as event_name,
        expected_transfer_date as event_date,
        expected_transfer_population as population,
        expected_transfer_biomass_kg as biomass_kg
    from container_forecast
    where expected_transfer_date is not null
),

in_periods as (
    select
        events.*,
        stays.site_kind,
        stays.site_id,
        stays.site_name,
        periods.period_type,
        date_trunc(periods.period_type, events.event_date)::date as period_start_date
    from events
    cross join (values ('month'), ('quarter')) as periods (period_type)
    left join stays on events.assignment_id = stays.assignment_id
),

final as (
    select
        -- which
        site_kind,
        site_id,
        site_name,
        period_type,
        period_start_date,

        -- harvest
        count(*) filter (where event_name = 'harvest') as harvest_container_count,
        count(*) filter (where event_name = 'harvest' and is_planned)
            as planned_harvest_container_count,
        coalesce(sum(population) filter (where event_name = 'harvest'), 0)::bigint
            as expected_harvest_population,
        (coalesce(sum(biomass_kg) filter (where event_name = 'harvest'), 0) / 1000)
        ::numeric(14, 3) as expected_harvest_tonnes,
        (coalesce(sum(biomass_kg) filter (where event_name = 'early_harvest'), 0) / 1000)
        ::numeric(14, 3) as early_harvest_tonnes,
        (coalesce(sum(biomass_kg) filter (where event_name = 'late_harvest'), 0) / 1000)
        ::numeric(14, 3) as late_harvest_tonnes,

        -- transfer
        count(*) filter (where event_name = 'transfer') as transfer_container_count,
        count(*) filter (where event_name = 'transfer' and is_planned)
            as planned_transfer_container_count,
        coalesce(sum(population) filter (where event_name = 'transfer'), 0)::bigint
            as expected_transfer_population,
        (coalesce(sum(biomass_kg) filter (where event_name = 'transfer'), 0) / 1000)
        ::numeric(14, 3) as expected_transfer_tonnes
    from in_periods
    group by site_kind, site_id, site_name, period_type, period_start_date
)

select * from final
