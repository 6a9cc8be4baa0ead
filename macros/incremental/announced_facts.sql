{#-
  Keeps int_assignment_facts as it is until the transaction ends: what int_changes compares is what
  it then announces, also when another run is at work.
-#}
{% macro hold_facts() -%}
    select pg_advisory_xact_lock(
        hashtext('anchorline model'),
        hashtext({{ sql_literal(layer_relation('intermediate', 'int_assignment_facts')) }})
    )
{%- endmacro %}


{#- Keeps the facts that int_changes has just compared, for the next comparison. -#}
{% macro announce_facts() -%}
    {%- set facts = layer_relation('intermediate', 'int_assignment_facts') -%}
    {%- set announced = ops_relation('announced_facts') -%}
delete from {{ announced }} as announced
where
    not exists (
        select 1 from {{ facts }} as facts
        where announced.assignment_id = facts.assignment_id
    )
    {{ and_examined(['batch_id', 'assignment_id']) }};

insert into {{ announced }} as announced (
    assignment_id, batch_id, assignment_date, last_active_date, labels_hash, facts_hash,
    measurements_hash
)
select
    assignment_id, batch_id, assignment_date, last_active_date, labels_hash, facts_hash,
    measurements_hash
from {{ facts }}
where true {{ and_examined(['batch_id', 'assignment_id']) }}
on conflict (assignment_id) do update set
    batch_id = excluded.batch_id,
    assignment_date = excluded.assignment_date,
    last_active_date = excluded.last_active_date,
    labels_hash = excluded.labels_hash,
    facts_hash = excluded.facts_hash,
    measurements_hash = excluded.measurements_hash
where
    (
        announced.batch_id, announced.labels_hash, announced.facts_hash,
        announced.measurements_hash
    ) is distinct from (
        excluded.batch_id, excluded.labels_hash, excluded.facts_hash,
        excluded.measurements_hash
    )
{%- endmacro %}
