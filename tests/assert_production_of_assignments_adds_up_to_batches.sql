-- A batch's period is the sum of its assignments'. What they exchange on one day is no arrival and
-- no departure of the batch, but as many of one as of the other.
{%- set counts = [
    'start_population', 'mortality_count', 'recorded_mortality_count', 'count_adjustment',
    'end_population', 'harvested_count'
] %}
{%- set amounts = [
    'start_biomass_kg', 'growth_kg', 'mortality_biomass_kg', 'gain_kg', 'reset_kg',
    'adjustment_kg', 'net_growth_kg', 'end_biomass_kg', 'feed_kg', 'harvested_live_weight_kg'
] %}

with production_figures as (
    select
        *,
        case when period_type <> 'life' then period_start_date end as period_key
    from {{ ref('production_figures') }}
    where period_type <> 'anchor_window'
),

summed as (
    select
        batch_id,
        period_type,
        period_key,
        count(*) as row_count,
        {%- for column in counts + amounts %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        sum(arrived_count) as arrived_count,
        sum(departed_count) as departed_count,
        sum(arrived_biomass_kg) as arrived_biomass_kg,
        sum(departed_biomass_kg) as departed_biomass_kg
    from production_figures
    where assignment_id is not null
    group by batch_id, period_type, period_key
),

batch_figures as (
    select * from production_figures where assignment_id is null
),

final as (
    select
        coalesce(batch_figures.batch_id, summed.batch_id) as batch_id,
        coalesce(batch_figures.period_type, summed.period_type) as period_type,
        coalesce(batch_figures.period_key, summed.period_key) as period_start_date,
        batch_figures.net_growth_kg,
        summed.net_growth_kg as summed_net_growth_kg
    from batch_figures
    full join summed
        on
            batch_figures.batch_id = summed.batch_id
            and batch_figures.period_type = summed.period_type
            and coalesce(batch_figures.period_key, '-infinity')
            = coalesce(summed.period_key, '-infinity')
    where
        (
            true
            {%- for column in counts %}
            and batch_figures.{{ column }} = summed.{{ column }}
            {%- endfor %}
            {%- for column in amounts %}
            and (batch_figures.{{ column }} is null) = (summed.{{ column }} is null)
            and abs(coalesce(batch_figures.{{ column }} - summed.{{ column }}, 0))
            <= 0.0005 * (summed.row_count + 1)
            {%- endfor %}
            and batch_figures.arrived_count <= summed.arrived_count
            and batch_figures.arrived_count - batch_figures.departed_count
            = summed.arrived_count - summed.departed_count
            and abs(
                batch_figures.arrived_biomass_kg - batch_figures.departed_biomass_kg
                - summed.arrived_biomass_kg + summed.departed_biomass_kg
            )
            <= 0.0005 * (summed.row_count + 1)
        ) is not true
)

select * from final
