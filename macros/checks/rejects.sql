{#- The rejected rows of a `_checked` model, in the shape of rejected_records. -#}
{% macro rejects(model, table_name, key, value='reject_value') -%}
    select
        '{{ table_name }}' as table_name,
        {{ key }} as record_id,
        reject_reason as reason,
        {{ value }} as value
    from {{ ref(model) }}
    where reject_reason is not null
{%- endmacro %}
