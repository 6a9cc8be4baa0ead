-- Weeks, months and anchor windows are the same days, cut differently: each of them adds up to
-- the life of its assignment or batch, to the fish, and to the rounding of kilograms.
{%- set counts = [
    'days_covered', 'arrived_count', 'departed_count', 'mortality_count',
    'recorded_mortality_count', 'count_adjustment', 'days_with_feed', 'harvested_count'
] %}
{%- set amounts = [
    'arrived_biomass_kg', 'departed_biomass_kg', 'growth_kg', 'mortality_biomass_kg', 'gain_kg',
    'reset_kg', 'adjustment_kg', 'net_growth_kg', 'feed_kg', 'expected_feed_kg',
    'harvested_live_weight_kg'
] %}

with production_figures as (
    select * from {{ ref('production_figures') }}
),

summed as (
    select
        batch_id,
        assignment_id,
        period_type,
        count(*) as row_count,
        {%- for column in counts %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        {%- for column in amounts %}
        {{ 'case when count(*) = count(expected_feed_kg) then sum(expected_feed_kg) end'
            if column == 'expected_feed_kg' else 'sum(' ~ column ~ ')' }} as {{ column }},
        {%- endfor %}
        sum(degree_days) as degree_days
    from production_figures
    where period_type <> 'life'
    group by batch_id, assignment_id, period_type
),

final as (
    select
        lives.batch_id,
        lives.assignment_id,
        period_types.period_type,
        lives.net_growth_kg,
        summed.net_growth_kg as summed_net_growth_kg
    from production_figures as lives
    cross join (values ('week'), ('month'), ('anchor_window')) as period_types (period_type)
    left join summed
        on
            lives.batch_id = summed.batch_id
            and lives.assignment_id is not distinct from summed.assignment_id
            and period_types.period_type = summed.period_type
    where
        lives.period_type = 'life'
        and (lives.assignment_id is not null or period_types.period_type <> 'anchor_window')
        and (
            true
            {%- for column in counts %}
            and lives.{{ column }} = summed.{{ column }}
            {%- endfor %}
            {%- for column in amounts %}
            and (lives.{{ column }} is null) = (summed.{{ column }} is null)
            and abs(coalesce(lives.{{ column }} - summed.{{ column }}, 0))
            <= 0.0005 * (summed.row_count + 1)
            {%- endfor %}
            and abs(lives.degree_days - summed.degree_days) <= 0.005 * (summed.row_count + 1)
        ) is not true
)

select * from final
