{#-
  The rejected rows of a `_checked` model, in the shape of int_rejected_records. The ids are those by
  which that model is examined: what a run deletes is then what it finds again.
-#}
{% macro rejects(
    model_name, table_name, key, value='reject_value', batch_id='null', assignment_id='null',
    dest_assignment_id='null', harvest_event_id='null', health_sampling_event_id='null',
    condition='true'
) -%}
    select
        {{ sql_literal(table_name) if table_name else 'table_name' }} as table_name,
        {{ key }} as record_id,
        reject_reason as reason,
        {{ value }} as value,
        {{ batch_id }}::bigint as batch_id,
        {{ assignment_id }}::bigint as assignment_id,
        {{ dest_assignment_id }}::bigint as dest_assignment_id,
        {{ harvest_event_id }}::bigint as harvest_event_id,
        {{ health_sampling_event_id }}::bigint as health_sampling_event_id,
        null::bigint as container_id
    from {{ examined(model_name) }}
    where reject_reason is not null and {{ condition }}
{%- endmacro %}
