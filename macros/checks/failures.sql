{#- The rows of a model that break a rule; `broken`: what is said of them, and the condition. -#}
{% macro select_broken(model, broken) -%}
select
    array_remove(array[
        {%- for said, condition in broken.items() %}
        case when {{ condition }} then '{{ said | replace("'", "''") }}' end{{ ',' if not loop.last }}
        {%- endfor %}
    ], null) as failed,
    to_jsonb(checked) as failed_row
from (select * from {{ model }}) as checked
where
    {%- for condition in broken.values() %}
    {{ 'or ' if not loop.first }}{{ condition }}
    {%- endfor %}
{%- endmacro %}


{#- The keys that more than one row of a model has. -#}
{% macro select_repeated(model, columns) -%}
select
    array['{{ columns | join(", ") }} not unique'] as failed,
    jsonb_build_object(
        {%- for column in columns -%}
        '{{ column }}', {{ column }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    ) as failed_row
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{%- endmacro %}


{#- The rows of a model whose value is in no row of another one. -#}
{% macro select_missing(model, column, other, field) -%}
select
    array['{{ column }} not in {{ other.identifier }}'] as failed,
    to_jsonb(checked) as failed_row
from (select * from {{ model }}) as checked
left join {{ other }} as other on checked.{{ column }} = other.{{ field }}
where checked.{{ column }} is not null and other.{{ field }} is null
{%- endmacro %}
