{#-
  The materialization `incremental` of this project, with its one strategy `scoped`: all tables
  follow changes by it.

  It makes the table as `table` does (a new one takes the old one's place) on the first build, with
  --full-refresh, when the columns described in the model's YAML are no longer the table's, and when
  a model that publishes changes was last built by other rules.
  Otherwise it keeps the table and replaces rows in it, in one transaction: those that are out of
  date are deleted, and the model's query, which by then selects only them, is inserted. What is
  out of date, the model's `meta` says:

  examined_by    columns that say whether a row belongs to the batches that this run examines; a
                 run that examines everything, and a model without the key, replaces all rows
  examined_days  of these the rows of the days that this run looks at (see examined_days.sql)
  published_by   rows of pending changes (see pending.sql): `assignment_days`, `assignment_weeks`,
                 `assignments`, `batch_days`, `batch_weeks` or `batches`; both where rows without
                 an assignment are of whole batches: `assignments_and_batches`; or `places`, in
                 which fish of several batches may stand (see places.sql)
  published_also `examined`: beside them, those of the batches that this run examines
  unchanged_by   of these only those from the first day on whose fingerprint is not the stored one
                 (see pending.sql)
  appended       nothing: the rows are added, and outlive a full refresh

  `partial_indexes` are made beside dbt's `indexes`: "(columns) where condition". `hypertable` names
  the column of days by which the table is a hypertable where TimescaleDB is installed.

  A lock on the model keeps two runs apart: the second one waits, and then reads what the first one
  has left. Runs that keep to batches of their own (see several.sql) share it, where they replace
  rows of pending changes.
-#}
{% materialization incremental, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set meta = model.config.meta -%}
    {#- a big table with all rows anew is swapped: written in parallel, indexes last. Not a mart. -#}
    {%- set is_kept = is_scoped() and not (
        replaces_all(meta)
        and model.config.schema != 'marts'
        and not is_one_of_several()
        and rows_at_start(target_relation) > 50000
    ) -%}
    {%- set existing = none if is_kept else load_cached_relation(this) -%}

    {%- if existing is not none and meta.get('appended') -%}
        {{ exceptions.raise_compiler_error(
            this ~ " is a log that is never rebuilt, and its columns are no longer those of the "
            ~ "model. Add or rename them by hand: alter table " ~ this ~ " ..."
        ) }}
    {%- endif -%}

    {%- if config.get('incremental_strategy') != 'scoped' -%}
        {{ exceptions.raise_compiler_error(
            "Incremental models of this project follow changes by the strategy `scoped`: set "
            ~ "`incremental_strategy: scoped`, and in meta `examined_by` or `published_by`."
        ) }}
    {%- endif -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {#- several statements at once, here and below: for each call dbt takes 2 ms -#}
    {% call statement('lock', fetch_result=meta.get('published_by') is not none) -%}
        {#- compiling the queries costs more than it saves: they are long, and their rows few -#}
        select
            set_config('jit', 'off', true),
            pg_advisory_xact_lock
            {{- '_shared' if is_one_of_several() and is_kept
                and meta.get('published_by', 'places') != 'places' -}}
            (hashtext('anchorline model'), hashtext('{{ this }}'));
        {{ select_published() if meta.get('published_by') }}
    {%- endcall %}

    {%- set pending = find_pending(is_kept, load_result('lock').table.rows[0].values())
        if meta.get('published_by') else none -%}

    {%- if is_kept -%}
        {%- if meta.get('appended') and var('preview_changes', false) -%}
            {{- return(preview(target_relation)) -}}
        {%- endif -%}
        {% call statement('main') -%}
            {%- if wants_hypertable() %}
            {{ lift_decompression_limit() }};
            {%- endif %}
            {{ with_literals(
                delete_outdated(target_relation, meta, pending)
                ~ insert_rows(target_relation, sql),
                (pending or {}).get('literals', {})
            ) }}
        {%- endcall %}
        {#- statistics hold while most rows stay, and cost more than the rest of many a model -#}
        {%- set written = load_result('main').response.rows_affected -%}
        {%- if
            replaces_all(meta)
            or (examines_many() and 2 * written > rows_at_start(target_relation))
        -%}
            {% call statement('statistics') %} analyze {{ target_relation }} {% endcall %}
        {%- endif -%}
        {%- if config.get('hypertable') -%}
            {% call statement('policies') -%} {{ keep_policies(target_relation) }} {%- endcall %}
        {%- endif -%}
        {{ run_hooks(post_hooks, inside_transaction=True) }}
        {#- PostgreSQL lets no two sessions grant on one table at a time -#}
        {%- if not is_one_of_several() -%}
            {%- do apply_grants(target_relation, config.get('grants'), should_revoke=False) -%}
        {%- endif -%}
        {%- do mark_published(pending) -%}
        {%- do mark_followed() -%}
        {{ adapter.commit() }}
    {%- else -%}
        {%- set new_relation = make_intermediate_relation(target_relation) -%}
        {%- set old_relation = make_backup_relation(
            target_relation, 'table' if existing is none else existing.type
        ) -%}
        {{ drop_relation_if_exists(load_cached_relation(new_relation)) }}
        {{ drop_relation_if_exists(load_cached_relation(old_relation)) }}
        {%- if wants_hypertable() -%}
            {% call statement('empty') -%}
                {{ get_create_table_as_sql(
                    False, new_relation, "select * from (\n" ~ sql ~ "\n) as model where false"
                ) }}
            {%- endcall %}
            {% call statement('hypertable') -%}
                {{ make_hypertable(new_relation) }}
            {%- endcall %}
            {% call statement('main') -%}
                {{ insert_rows(new_relation, sql) }}
            {%- endcall %}
        {%- else -%}
            {% call statement('main') -%}
                {{ get_create_table_as_sql(False, new_relation, sql) }}
            {%- endcall %}
        {%- endif -%}
        {%- do create_indexes(new_relation) -%}
        {%- for keys in config.get('partial_indexes', []) -%}
            {% call statement('partial_index') %} create index on {{ new_relation }} {{ keys }} {% endcall %}
        {%- endfor -%}
        {#- of a view on a table that was swapped out in this run dbt knows no more, though it is kept -#}
        {% call statement('statistics') %}
            analyze {{ new_relation }};
            {%- if existing is none %}
            drop view if exists {{ target_relation }} cascade;
            {%- endif %}
        {% endcall %}
        {%- if existing is not none and load_cached_relation(existing) is not none -%}
            {% call statement('swap') %}{{ swap_alone(existing) }}{% endcall %}
            {{ adapter.rename_relation(existing, old_relation) }}
        {%- endif -%}
        {{ adapter.rename_relation(new_relation, target_relation) }}
        {%- if existing is not none and load_cached_relation(old_relation) is not none -%}
            {% call statement('views') %}{{ repoint_views(old_relation, target_relation) }}{% endcall %}
        {%- endif -%}
        {%- if config.get('hypertable') -%}
            {% call statement('policies') -%} {{ keep_policies(target_relation) }} {%- endcall %}
            {%- if existing is not none and load_cached_relation(old_relation) is not none -%}
                {%- do keep_weekly_aggregates(old_relation, target_relation) -%}
            {%- endif -%}
        {%- endif -%}
        {{ run_hooks(post_hooks, inside_transaction=True) }}
        {%- do apply_grants(
            target_relation, config.get('grants'), should_revoke(existing, full_refresh_mode=True)
        ) -%}
        {%- do persist_docs(target_relation, model) -%}
        {%- do mark_published(pending) -%}
        {%- do mark_followed() -%}
        {{ adapter.commit() }}
        {{ drop_relation_if_exists(old_relation) }}
    {%- endif -%}

    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#- The statement that adds a query's rows to a table. -#}
{% macro insert_rows(relation, query) -%}
    {%- set names = get_quoted_csv(model.columns | list) -%}
    insert into {{ relation }} ({{ names }})
    select {{ names }} from (
        {{ query }}
    ) as model
{%- endmacro %}


{#- What would be added to a log, in a table of its own beside it. -#}
{% macro preview(relation) -%}
    {%- set preview_relation = relation.incorporate(
        path={'identifier': relation.identifier ~ '_preview'}
    ) -%}
    {% call statement('main') -%}
        drop table if exists {{ preview_relation }};
        create table {{ preview_relation }} as
        {{ sql }}
    {%- endcall %}
    {{ adapter.commit() }}
    {{- return({'relations': [preview_relation]}) -}}
{%- endmacro %}


{#-
  Whether the model's table stays and rows are replaced in it. Never while a query is compiled for
  a unit test, whose rows stand for whole tables.
-#}
{% macro is_scoped() -%}
    {%- if
        not execute
        or model.resource_type != 'model'
        or model.config.materialized != 'incremental'
    -%}
        {{- return(false) -}}
    {%- endif -%}
    {%- set memory = run_memory() -%}
    {%- set name = model.name ~ ' is scoped' -%}
    {%- if name not in memory -%}
        {%- do memory.update({name: keeps_table()}) -%}
    {%- endif -%}
    {{- return(memory[name]) -}}
{%- endmacro %}


{#- Whether the table that the run has found can be kept. -#}
{% macro keeps_table() -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is none or existing.type != 'table' -%}
        {{- return(false) -}}
    {%- endif -%}
    {%- if should_full_refresh() and not model.config.meta.get('appended') -%}
        {{- return(false) -}}
    {%- endif -%}
    {#- its rules have changed: all rows are out of date -#}
    {%- if
        model.config.meta.get('published_by')
        and published_rules_at_start().get(model.name) != rules_fingerprint()
    -%}
        {{- return(false) -}}
    {%- endif -%}
    {#- TimescaleDB was installed since: the table becomes a hypertable -#}
    {%- if wants_hypertable() and not is_hypertable(existing) -%}
        {{- return(false) -}}
    {%- endif -%}
    {{- return((columns_at_start(existing) or []) | sort == model.columns | sort) -}}
{%- endmacro %}


{#- The statement that removes the rows which the model's query is about to give anew; none of a log. -#}
{% macro delete_outdated(relation, meta, pending) -%}
    {%- if meta.get('appended') -%}
    {%- elif meta.get('published_by') -%}
        {{ delete_pending(relation, meta.get('published_by'), pending) }};
    {%- elif not replaces_all(meta) -%}
        delete from {{ relation }}
        where
            ({{ is_examined(meta.get('examined_by')) }})
            {%- if meta.get('examined_since') %}
            {{ and_examined_since(meta.get('examined_since').column) }}
            {%- endif %}
            {%- if meta.get('examined_days') and not meta.get('appended') %}
            {{ and_examined_days(meta.get('examined_days').column, meta.get('examined_by')) }}
            {%- endif %};
    {%- elif model.config.schema == 'marts' or is_one_of_several() -%}
        {#- readers of a mart neither wait nor see it empty; nor do other runs -#}
        delete from {{ relation }};
    {%- else -%}
        truncate {{ relation }};
    {%- endif -%}
{%- endmacro %}


{#- Whether a kept table gets all its rows anew. -#}
{% macro replaces_all(meta) -%}
    {{- return(
        not meta.get('appended')
        and not meta.get('published_by')
        and not (meta.get('examined_by') and is_limited())
    ) -}}
{%- endmacro %}
