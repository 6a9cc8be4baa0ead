{#-
  The materialization `view` of this project: the view is replaced and not swapped. dbt's own drops
  the old one with all views on it, which are then missing until their models have run, for every
  other session as well.

  Where the columns have changed PostgreSQL cannot replace a view; then it is dropped with the
  views on it, whose models come later in the run.
-#}
{% materialization view, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set existing = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% call statement('lock') -%}
        select pg_advisory_xact_lock(hashtext('anchorline model'), hashtext('{{ this }}'))
    {%- endcall %}
    {%- if existing is not none and existing.type != 'view' -%}
        {{ drop_relation_if_exists(existing) }}
    {%- endif -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
    {% call statement('main') -%}
        do $make$
        begin
            create or replace view {{ target_relation }} as
            {{ sql }};
        exception
            when invalid_table_definition then
                drop view {{ target_relation }} cascade;
                create view {{ target_relation }} as
                {{ sql }};
        end
        $make$
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do apply_grants(
        target_relation, config.get('grants'), should_revoke(existing, full_refresh_mode=True)
    ) -%}
    {%- do persist_docs(target_relation, model) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
