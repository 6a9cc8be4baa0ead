{#-
  Changes that a model has not published yet. int_changes is a list to which rows are only added;
  each model keeps the number of the last one that it has followed (ops.published), and moves it
  on in the transaction that replaces its rows. Whatever else failed, was not selected or was
  killed: a change is pending until this model has it.
-#}


{#-
  Finds, at the start of a model's transaction, what is pending for it: the temporary tables
  pending_assignments (assignment_id, from_date) and pending_batches (batch_id, from_date), and
  the number of the last change. When rules have changed since the model's last run, everything is.
-#}
{% macro find_pending(is_kept) -%}
    {%- set published = ops_relation('published') -%}
    {#- by name: the model itself may read neither -#}
    {%- set changes = ops_relation('int_changes') -%}
    {%- set assignments = layer_relation('intermediate', 'int_assignments') -%}
    {%- set known = run_query(
        "select change_id from " ~ published ~ " where model_name = " ~ sql_literal(this.name)
        ~ " and rules = " ~ sql_literal(rules_fingerprint())
    ) -%}
    {%- set is_all = known.rows | length == 0 -%}
    {#- not beyond what the models have followed that this one is made from -#}
    {%- set last_change_id = run_query(
        "select least((select coalesce(max(change_id), 0) from " ~ changes ~ "), ("
        ~ "select min(change_id) from " ~ published
        ~ " where model_name in (" ~ sql_literals(published_ancestor_names() or ['']) ~ ")))"
    ).rows[0][0] -%}
    {%- if is_kept -%}
        {%- set conditions = "change_id <= " ~ last_change_id -%}
        {%- if not is_all -%}
            {%- set conditions = conditions ~ " and change_id > " ~ known.rows[0][0] -%}
        {%- endif -%}
        {%- if model.config.meta.get('published_by') == 'states' -%}
            {%- set conditions = conditions ~ " and recomputes_states" -%}
        {%- endif -%}
        {%- if is_limited() and not is_all -%}
            {%- set conditions = conditions ~ " and batch_id <> all('" ~ held_batches()
                ~ "'::bigint[])" -%}
        {%- endif -%}
        {%- set all_days = "date '0001-01-01' as from_date" -%}
        {% call statement('pending') -%}
            create temporary table pending_assignments on commit drop as
            {%- if is_all %}
            select assignment_id, {{ all_days }} from {{ assignments }}
            union
            select assignment_id, {{ all_days }} from {{ changes }}
            {%- else %}
            select assignment_id, min(from_date) as from_date
            from {{ changes }}
            where {{ conditions }}
            group by assignment_id
            {%- endif %};
            create temporary table pending_batches on commit drop as
            {%- if is_all %}
            select batch_id, {{ all_days }} from {{ assignments }}
            union
            select batch_id, {{ all_days }} from {{ changes }}
            {%- else %}
            select batch_id, min(from_date) as from_date
            from {{ changes }}
            where {{ conditions }}
            group by batch_id
            {%- endif %};
            {%- if model.config.meta.get('published_also') == 'examined' %}
            insert into pending_batches
            select batch_id, {{ all_days }}
            from (
                {%- if is_limited() %}
                select unnest(batch_ids) as batch_id from {{ ops_relation('examinations') }}
                where invocation_id = {{ sql_literal(invocation_id) }}
                {%- else %}
                select batch_id from {{ layer_relation('staging', 'stg_batches') }}
                union
                select batch_id from {{ this }}
                {%- endif %}
            ) as examined
            where batch_id not in (select batch_id from pending_batches where batch_id is not null);
            {%- endif %}
            analyze pending_assignments, pending_batches;
        {%- endcall %}
    {%- endif -%}
    {{- return({
        'is_all': is_all,
        'is_kept': is_kept,
        'last_change_id': last_change_id,
        'literals': pending_literals() if is_kept and not is_all else {},
    }) -}}
{%- endmacro %}


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


{#-
  What is pending, as literals: for each kind, the ids as an array and the first day from which each
  kind of span is out of date. With a join alone the planner reads a whole table to find a few rows
  of it, where more than eight tables are joined; and TimescaleDB decompresses every chunk.
-#}
{% macro pending_literals() -%}
    {%- set literals = {} -%}
    {%- for by, id in pending_ids().items() -%}
        {%- set days = [] -%}
        {%- for since in pending_spans() -%}
            {%- do days.append('(' ~ first_pending_day(since, 'min(from_date)') ~ ')::text') -%}
        {%- endfor -%}
        {%- set found = run_query(
            "select coalesce(array_agg(" ~ id ~ "), '{}')::text, min(" ~ id ~ "), max(" ~ id ~ "), "
            ~ days | join(', ') ~ " from pending_" ~ by ~ " where " ~ id ~ " is not null"
        ).rows[0].values() -%}
        {%- do literals.update({by: {
            'ids': found[0],
            'first_id': found[1] or 0,
            'last_id': found[2] or 0,
            'from': dict(zip(pending_spans(), found[3:])),
        }}) -%}
    {%- endfor -%}
    {{- return(literals) -}}
{%- endmacro %}


{#- By what changes are found, with the column of its ids. -#}
{% macro pending_ids() -%}
    {{- return({'assignments': 'assignment_id', 'batches': 'batch_id'}) -}}
{%- endmacro %}


{#- The spans that a row may stand for. -#}
{% macro pending_spans() -%}
    {{- return(['day', 'week', 'week_before']) -}}
{%- endmacro %}


{#-
  A mark in a compiled query, where with_literals puts what is pending once it is known: a query is
  compiled before the transaction that finds it.
-#}
{% macro pending_mark(by, key, day=none, since='day') -%}
    /* pending {{ by }}: {{ key }} */
    {%- if day %} /* pending {{ by }} from {{ since }}: {{ day }} */{%- endif -%}
{%- endmacro %}


{#- A query with literals at its marks; as it is, where everything is pending. -#}
{% macro with_literals(query, literals) -%}
    {%- set filled = namespace(query=query) -%}
    {%- for by, found in literals.items() -%}
        {%- set filled.query = modules.re.sub(
            '/\\* pending ' ~ by ~ ': (\\S+) \\*/',
            "and \\1 = any('" ~ found.ids ~ "'::bigint[])",
            filled.query
        ) -%}
        {%- set filled.query = modules.re.sub(
            '/\\* pending ' ~ by ~ ' between: (\\S+) \\*/',
            "and \\1 between " ~ found.first_id ~ " and " ~ found.last_id,
            filled.query
        ) -%}
        {%- for since, day in found['from'].items() if day is not none -%}
            {%- set filled.query = modules.re.sub(
                '/\\* pending ' ~ by ~ ' from ' ~ since ~ ': (\\S+) \\*/',
                "and \\1 >= date '" ~ day ~ "'",
                filled.query
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return(filled.query) -}}
{%- endmacro %}


{#-
  A relation, limited to what is pending for the model, under an alias (default: the relation's
  name).

  by       `assignments` or `batches` that have a pending change: all their rows, or
  day      a column of days: only those from the first changed day on
  since    `week`: from the Monday of the first changed day on, `week_before`: from the Monday
           before that one on
  key      the column that holds their id, where it has another name
-#}
{% macro pending(model_name, by, day=none, since='day', key=none, alias=none) -%}
    {#- named so that dbt runs it first, whatever else the model reads; no test needs its rows -#}
    {%- if not execute or model.resource_type != 'unit_test' -%}
        {%- set changes = ref('int_changes') -%}
    {%- endif -%}
    {{- pending_rows(ref(model_name), by, day, since, key, alias or model_name) -}}
{%- endmacro %}


{#- The rows of a CTE whose days (column state_date) are pending. -#}
{% macro pending_days(cte, by) -%}
    {{- pending_rows(cte, by, 'state_date', 'day') -}}
{%- endmacro %}


{#- The rows of a CTE whose weeks (column week_start_date) are pending. -#}
{% macro pending_weeks(cte, by) -%}
    {{- pending_rows(cte, by, 'week_start_date', 'week') -}}
{%- endmacro %}


{#- A relation or CTE, limited to what is pending, under an alias. -#}
{% macro pending_rows(relation, by, day=none, since='day', key=none, alias=none) -%}
    {%- set id = pending_ids()[by] -%}
    {%- if is_scoped() -%}
        (
            select limited.*
            from {{ relation }} as limited
            inner join pending_{{ by }} as pending
                on
                    limited.{{ key or id }} = pending.{{ id }}
                    {%- if day %}
                    and limited.{{ day }} >= {{ first_pending_day(since) }}
                    {%- endif %}
            where
                true
                {{ pending_mark(
                    by, 'limited.' ~ (key or id), 'limited.' ~ day if day else none, since
                ) }}
        ) as {{ alias or relation }}
    {%- elif alias and alias != relation.identifier -%}
        {{ relation }} as {{ alias }}
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}


{#- The first day that is pending, as an expression over the day of a change. -#}
{% macro first_pending_day(since, changed_day='pending.from_date') -%}
    {%- if since == 'day' -%}
        {{ changed_day }}
    {%- else -%}
        {{ week_start_date(changed_day) }}{{ ' - 7' if since == 'week_before' }}
    {%- endif -%}
{%- endmacro %}


{#- The statement that removes a kept table's rows of pending changes. -#}
{% macro delete_pending(relation, published_by, pending) -%}
    {%- if pending.is_all -%}
        delete from {{ relation }}
    {%- else -%}
        {%- set rules = {
            'states': ('assignments', 'state_date', 'day'),
            'assignment_days': ('assignments', 'state_date', 'day'),
            'assignment_weeks': ('assignments', 'week_start_date', 'week'),
            'assignments': ('assignments', none, none),
            'batch_days': ('batches', 'state_date', 'day'),
            'batch_weeks': ('batches', 'week_start_date', 'week'),
            'batches': ('batches', none, none),
        } -%}
        {%- set by, day, since = rules[published_by] -%}
        {%- set key = pending_ids()[by] -%}
        delete from {{ relation }} as stored
        using pending_{{ by }} as pending
        where
            stored.{{ key }} = pending.{{ key }}
            {%- if day %}
            and stored.{{ day }} >= {{ first_pending_day(since) }}
            {%- endif %}
            {{ pending_mark(by, 'stored.' ~ key, 'stored.' ~ day if day else none, since) }}
            {%- if wants_hypertable() %}
            -- by these, TimescaleDB knows which compressed rows are none of them
            /* pending {{ by }} between: stored.{{ key }} */
            {{ pending_mark('batches', 'stored.batch_id') }}
            {%- endif %}
    {%- endif -%}
{%- endmacro %}


{#- Notes, in the model's own transaction, up to which change it is up to date. -#}
{% macro mark_published(pending) -%}
    {%- if pending -%}
        {% call statement('published') -%}
            insert into {{ ops_relation('published') }} as published (
                model_name, change_id, rules
            )
            values (
                {{ sql_literal(this.name) }},
                {{ pending.last_change_id }},
                {{ sql_literal(rules_fingerprint()) }}
            )
            on conflict (model_name) do update set
                change_id = greatest(published.change_id, excluded.change_id),
                rules = excluded.rules,
                published_at = clock_timestamp();
            {%- if pending.is_all or not pending.is_kept %}
            -- Made anew: so must be all that was made from it, even where that has been run by
            -- itself in the meantime, and though no change may tell what is new.
            update {{ ops_relation('published') }} set rules = ''
            where model_name in ({{ sql_literals(descendant_names() or ['']) }});
            {%- endif %}
        {%- endcall %}
    {%- endif -%}
{%- endmacro %}


{#- The names of the models that follow changes and that this one is made from. -#}
{% macro published_ancestor_names() -%}
    {%- set found = [] -%}
    {%- do found.extend(graph.nodes[model.unique_id].depends_on.nodes) -%}
    {%- set names = [] -%}
    {#- a loop may not grow the list it goes through -#}
    {%- for _ in graph.nodes -%}
        {%- if loop.index0 < found | length -%}
            {%- set node = graph.nodes.get(found[loop.index0]) -%}
            {%- if node and node.resource_type == 'model' -%}
                {%- if node.config.meta.get('published_by') -%}
                    {%- do names.append(node.name) -%}
                {%- endif -%}
                {%- for id in node.depends_on.nodes if id not in found -%}
                    {%- do found.append(id) -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(names) -}}
{%- endmacro %}


{#- The names of all models that are made from this one. -#}
{% macro descendant_names() -%}
    {%- set found = [model.unique_id] -%}
    {%- set parents = {} -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
        {%- do parents.update({node.unique_id: node.depends_on.nodes}) -%}
    {%- endfor -%}
    {#- a loop may not grow the list it goes through: once for each model in the longest chain -#}
    {%- for _ in range(parents | length) -%}
        {%- for unique_id, ids in parents.items() if unique_id not in found -%}
            {%- for id in ids if id in found and unique_id not in found -%}
                {%- do found.append(unique_id) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set names = [] -%}
    {%- for unique_id in found[1:] -%}
        {%- do names.append(graph.nodes[unique_id].name) -%}
    {%- endfor -%}
    {{- return(names) -}}
{%- endmacro %}


{#-
  A fingerprint of the rules by which records become marts: the models, the seeds, the vars and
  `engine_version` (to be raised when a macro changes what comes out). Not among them: the as-of
  date and what limits a run.
-#}
{% macro rules_fingerprint() -%}
    {%- set memory = run_memory() -%}
    {%- if 'rules' not in memory -%}
        {%- set parts = [engine_version() | string] -%}
        {%- for name in result_vars() -%}
            {%- do parts.append(name ~ '=' ~ var(name)) -%}
        {%- endfor -%}
        {%- for node in graph.nodes.values() | sort(attribute='unique_id') -%}
            {%- if node.resource_type in ('model', 'seed') -%}
                {%- do parts.append(node.unique_id ~ '=' ~ node.checksum.checksum) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do memory.update({'rules': local_md5(parts | join('\n'))}) -%}
    {%- endif -%}
    {{- return(memory['rules']) -}}
{%- endmacro %}


{#- The vars that change what the marts hold. -#}
{% macro result_vars() -%}
    {{- return([
        'raw_schema', 'timezone', 'max_interpolation_gap_days', 'short_interpolation_gap_days',
        'max_nearest_gap_days', 'inference_window_days', 'min_inferred_cover',
        'max_transfer_mortality_share', 'missing_mortality', 'growth_formula',
        'health_samplings_are_anchors', 'stage_caps_enabled', 'fcr_cap', 'fcr_warn',
        'min_gain_kg_for_fcr'
    ]) -}}
{%- endmacro %}


{#- The number of the last change that is noted. -#}
{% macro last_change_id() -%}
    {%- if is_scoped() -%}
        (select coalesce(max(change_id), 0) from {{ this }})
    {%- else -%}
        0
    {%- endif -%}
{%- endmacro %}


{#-
  A table of a later model as the last run left it, or none: before its first build, and where it
  has no such column yet. Not by `ref`, which would close a circle.
-#}
{% macro stored_relation(layer, name, column) -%}
    {%- if execute -%}
        {%- set wanted = layer_relation(layer, name) -%}
        {%- if column in (columns_at_start(wanted) or []) -%}
            {{- return(wanted) -}}
        {%- endif -%}
    {%- endif -%}
    {{- return(none) -}}
{%- endmacro %}


{#- Its rows (those that this run examines, or all), or no rows of these columns where it is none. -#}
{% macro stored_rows(relation, columns, of_all=false) -%}
    {%- if relation is none or model.resource_type != 'model' %}
    select
        {%- for column, type in columns.items() %}
        null::{{ type }} as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    where false
    {%- else %}
    select
        {%- for column in columns %}
        {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
        {%- if not of_all %}
    where true {{ and_examined(['batch_id', 'assignment_id']) }}
        {%- endif %}
    {%- endif %}
{%- endmacro %}
