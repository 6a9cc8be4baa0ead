-- One row per site and month to come in which fish are expected to stand there: how much they
-- weigh, and on which days that is more than the site may hold.
{{ config(
    meta={
        'published_by': 'places',
        'published_also': 'examined',
        'places': {
            'model': 'int_outlook_sites',
            'stays': 'int_outlook_stays',
            'columns': ['site_kind', 'site_id'],
        },
    },
    indexes=[
        {'columns': ['site_kind', 'site_id', 'month_start_date'], 'unique': true},
    ],
) }}

with outlook_sites as (
    select * from {{ outdated_places('int_outlook_sites') }}
),

stays as (
    select * from {{ ref('int_outlook_stays') }}
),

container_sites as (
    select distinct
        stays.container_id,
        stays.site_kind,
        stays.site_id,
        stays.site_name,
        stays.site_max_biomass_kg,
        outlook_sites.inputs_hash
    from stays
    inner join outlook_sites
        on stays.site_kind = outlook_sites.site_kind and stays.site_id = outlook_sites.site_id
),

-- (An array, not a join: it reaches below the sums of the view.)
standing_biomass as (
    select * from {{ ref('int_standing_biomass') }}
    {%- if is_scoped() %}
    where container_id = any(array(select container_sites.container_id from container_sites))
    {%- endif %}
),

summed as (
    select
        container_sites.site_kind,
        container_sites.site_id,
        container_sites.site_name,
        container_sites.site_max_biomass_kg::numeric(12, 2) as limit_kg,
        container_sites.inputs_hash,
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
        container_sites.inputs_hash,
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
        inputs_hash,
        max(container_count) as container_count,
        coalesce(max(standing_biomass_kg) filter (where state_date = month_end_date), 0)
            as standing_biomass_kg,
        max(standing_biomass_kg) as peak_biomass_kg,
        (array_agg(state_date order by standing_biomass_kg desc, state_date asc))[1]
            as peak_date,
        min(state_date) filter (where standing_biomass_kg > limit_kg) as first_date_over_limit,
        count(*) filter (where standing_biomass_kg > limit_kg) as days_over_limit
    from days
    group by site_kind, site_id, site_name, month_start_date, limit_kg, inputs_hash
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
        days_over_limit,

        inputs_hash
    from outlook
)

select * from final
