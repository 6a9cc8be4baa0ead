{#-
  Batches whose refresh has failed and is to be tried again, with all that movements tie to them, as
  an array literal: their changes must not stop a run that is about others. A run that examines them
  has announced these again (announce_again).
-#}
{% macro held_batches() -%}
    {%- set memory = run_memory() -%}
    {%- if 'held_batches' not in memory -%}
        {%- set found = run_query(
            "select coalesce(array_agg(distinct batch_id), '{}')::text from ("
            ~ failed_batches() ~ ") as failed where batch_id <> all('"
            ~ examined_ids()['batch_id'] ~ "'::bigint[])"
        ) -%}
        {%- do memory.update({'held_batches': found.rows[0][0]}) -%}
    {%- endif -%}
    {{- return(memory['held_batches']) -}}
{%- endmacro %}


{#- A query of the batches whose refresh has failed, and of all that are tied to them. -#}
{% macro failed_batches() -%}
    {%- set lineages = layer_relation('intermediate', 'int_lineages') -%}
    {%- set failures = ops_relation('event_failures') -%}
    select batch_id from {{ failures }} where batch_id is not null
    union
    select mates.batch_id
    from {{ failures }} as failures
    inner join {{ lineages }} as own on failures.batch_id = own.batch_id
    inner join {{ lineages }} as mates on own.lineage_id = mates.lineage_id
{%- endmacro %}


{#-
  At the start of a run that looks again at batches whose refresh has failed: announces anew what
  was announced since then, because runs that were about others have passed over it.
-#}
{% macro announce_again() -%}
    {%- if
        execute
        and flags.WHICH in ('run', 'build')
        and not var('preview_changes', false)
    -%}
        {%- set changes = ops_relation('int_changes') -%}
do $again$
begin
    if not exists (select 1 from {{ ops_relation('event_failures') }}) then
        return;
    end if;
    if
        to_regclass({{ sql_literal(changes) }}) is null
        or to_regclass({{ sql_literal(layer_relation('intermediate', 'int_lineages')) }}) is null
    then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('anchorline model'), hashtext({{ sql_literal(changes) }}));
    insert into {{ changes }} (
        change_id, assignment_id, batch_id, from_date, recomputes_states, reason, invocation_id,
        changed_at
    )
    select
        (select max(change_id) from {{ changes }})
        + row_number() over (order by assignment_id, batch_id, recomputes_states),
        assignment_id,
        batch_id,
        min(from_date),
        recomputes_states,
        'tried again',
        '{{ invocation_id }}',
        clock_timestamp()
    from {{ changes }}
    where
        invocation_id in (
            select announced.invocation_id
            from {{ changes }} as announced
            where
                announced.batch_id in ({{ failed_batches() }})
                {%- if is_limited() %}
                and announced.batch_id = any('{{ examined_ids()['batch_id'] }}'::bigint[])
                {%- endif %}
                and announced.changed_at >= (
                    select min(first_failed_at) - interval '1 day'
                    from {{ ops_relation('event_failures') }}
                )
        )
        {%- if is_limited() %}
        and batch_id = any('{{ examined_ids()['batch_id'] }}'::bigint[])
        {%- endif %}
    group by assignment_id, batch_id, recomputes_states;
end
$again$
    {%- endif -%}
{%- endmacro %}
