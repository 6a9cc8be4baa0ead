-- A batch's reconciliation at harvest is that of its assignments, with the suspect measurements of
-- each, and each error lies in its band.
{%- set counts = [
    'container_count', 'finished_container_count', 'harvest_day_count', 'lot_count',
    'harvested_count', 'weighed_count', 'population_before', 'modelled_count', 'number_error',
    'remaining_count', 'suspect_anchor_count'
] %}

with harvest_reconciliation as (
    select * from {{ ref('harvest_reconciliation') }}
),

suspects as (
    select
        assignment_id,
        count(*) as suspect_anchor_count
    from {{ ref('weight_anchors') }}
    where is_suspect
    group by assignment_id
),

summed as (
    select
        batch_id,
        {%- for column in counts %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        min(first_harvest_date) as first_harvest_date,
        max(last_harvest_date) as last_harvest_date
    from harvest_reconciliation
    where assignment_id is not null
    group by batch_id
),

batch_rows as (
    select * from harvest_reconciliation where assignment_id is null
),

unlike_their_assignments as (
    select
        coalesce(batch_rows.batch_id, summed.batch_id) as batch_id,
        null::bigint as assignment_id,
        'sum' as reason
    from batch_rows
    full join summed on batch_rows.batch_id = summed.batch_id
    where
        (
            batch_rows.first_harvest_date = summed.first_harvest_date
            and batch_rows.last_harvest_date = summed.last_harvest_date
            {%- for column in counts %}
            and batch_rows.{{ column }} is not distinct from summed.{{ column }}
            {%- endfor %}
        ) is not true
),

unlike_their_measurements as (
    select
        harvest_reconciliation.batch_id,
        harvest_reconciliation.assignment_id,
        'suspect measurements' as reason
    from harvest_reconciliation
    left join suspects on harvest_reconciliation.assignment_id = suspects.assignment_id
    where
        harvest_reconciliation.assignment_id is not null
        and harvest_reconciliation.suspect_anchor_count
        <> coalesce(suspects.suspect_anchor_count, 0)
),

errors as (
    {%- for error in ['number', 'weight', 'biomass'] %}
    {{ 'union all' if not loop.first }}
    select
        batch_id,
        assignment_id,
        '{{ error }}' as measure,
        abs({{ error }}_error_percent) as error_percent,
        {{ error }}_error_band as error_band
    from harvest_reconciliation
    where {{ error }}_error_percent is not null
    {%- endfor %}
),

in_another_band as (
    select
        batch_id,
        assignment_id,
        'band of ' || measure as reason
    from errors
    where
        error_band is distinct from case
            when error_percent <= 3 then 'within_3_percent'
            when error_percent <= 5 then 'within_5_percent'
            when error_percent <= 10 then 'within_10_percent'
            else 'beyond_10_percent'
        end
),

final as (
    select * from unlike_their_assignments
    union all
    select * from unlike_their_measurements
    union all
    select * from in_another_band
)

select * from final
