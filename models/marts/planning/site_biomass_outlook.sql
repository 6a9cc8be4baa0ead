-- One row per site and month to come in which fish are expected to stand there: how much they
-- weigh, and on which days that is more than the site may hold. A view over the days of the
-- forecast.
{{ config(materialized='view') }}

with standing_biomass as (
    select * from {{ ref('int_standing_biomass') }}
),

stays as (
    select * from {{ ref('int_outlook_stays') }}
),

container_sites as (
    select distinct
        container_id,
        site_kind,
        site_id,
        site_name,
        site_max_biomass_kg
    from stays
    where site_id is not null
),

summed as (
    select
        container_sites.site_kind,
        container_sites.site_id,
        container_sites.site_name,
        container_sites.site_max_biomass_kg::numeric(12, 2) as limit_kg,
        standing_biomass.state_date,
        count(*) as container_count,
        sum(standing_biomass.standing_biomass_kg)::numeric(16, 2) as standing_biomass_kg
    from standing_biomass
    inner join container_sites on standing_biomass.container_id = container_sites.container_id
    group by
        container_sites.site_kind,
        container_sites.site_id,
        container_sites.site_name,
        container_sites.site_max_biomass_kg,
        standing_biomass.state_date
),

horizon as (
    select
        max(computed_date) + {{ forecast_constant('longest_forecast_days') }}::integer
            as last_date
    from stays
),

-- Of a month that ends beyond all forecasts nobody knows the end.
days as (
    select
        summed.*,
        months.month_start_date,
        months.month_end_date
    from summed
    cross join horizon
    cross join lateral (
        values (
            date_trunc('month', summed.state_date)::date,
            (date_trunc('month', summed.state_date) + interval '1 month')::date - 1
        )
    ) as months (month_start_date, month_end_date)
    where months.month_end_date <= horizon.last_date
),

outlook as (
    select
        site_kind,
        site_id,
        site_name,
        month_start_date,
        limit_kg,
        max(container_count) as container_count,
        coalesce(max(standing_biomass_kg) filter (where state_date = month_end_date), 0)
            as standing_biomass_kg,
        max(standing_biomass_kg) as peak_biomass_kg,
        (array_agg(state_date order by standing_biomass_kg desc, state_date asc))[1]
            as peak_date,
        min(state_date) filter (where standing_biomass_kg > limit_kg) as first_date_over_limit,
        count(*) filter (where standing_biomass_kg > limit_kg) as days_over_limit
    from days
    group by site_kind, site_id, site_name, month_start_date, limit_kg
),

final as (
    select
        -- which
        site_kind,
        site_id,
        site_name,
        month_start_date,

        -- biomass
        container_count,
        standing_biomass_kg::numeric(16, 2) as standing_biomass_kg,
        peak_biomass_kg::numeric(16, 2) as peak_biomass_kg,
        peak_date,

        -- against the limit
        limit_kg,
        (100 * peak_biomass_kg / limit_kg)::numeric(24, 2) as peak_limit_percent,
        first_date_over_limit,
        days_over_limit
    from outlook
)

select * from final
