{#-
  Changes that a model has not published yet. int_changes is a list to which rows are only added;
  each model keeps the number of the last one that it has followed (ops.published), and moves it
  on in the transaction that replaces its rows. Whatever else failed, was not selected or was
  killed: a change is pending until this model has it.
-#}


{#-
  The query of two numbers: the last change that the model has published, null where its rules were
  others; and the last one that it can publish now, which is not beyond what the models have
  followed that it is made from. By name: the model itself may read neither table.
-#}
{% macro select_published() -%}
    {%- set published = ops_relation('published') -%}
select
    (
        select change_id from {{ published }}
        where
            model_name = {{ sql_literal(this.name) }}
            and rules = {{ sql_literal(rules_fingerprint()) }}
    ),
    least(
        (select coalesce(max(change_id), 0) from {{ ops_relation('int_changes') }})
        {%- if not is_one_of_several() %},
        (
            select min(change_id) from {{ published }}
            where model_name in ({{ sql_literals(published_ancestor_names() or ['']) }})
        )
        {%- endif %}
    )
{%- endmacro %}


{#-
  Finds, at the start of a model's transaction, what is pending for it, from the numbers of
  select_published: the temporary tables pending_assignments (assignment_id, from_date) and
  pending_batches (batch_id, from_date). When rules have changed since the model's last run,
  everything is.
-#}
{% macro find_pending(is_kept, change_ids) -%}
    {%- set published_id, last_change_id = change_ids -%}
    {%- set is_all = published_id is none -%}
    {%- set literals = {} -%}
    {%- set changes = ops_relation('int_changes') -%}
    {%- set assignments = layer_relation('intermediate', 'int_assignments') -%}
    {%- if is_one_of_several() and (is_all or not is_kept) -%}
        {{ exceptions.raise_compiler_error(
            this ~ " must be made anew, by one run alone: it was built by other rules."
        ) }}
    {%- endif -%}
    {%- if is_kept -%}
        {%- set conditions = "change_id <= " ~ last_change_id -%}
        {%- if not is_all -%}
            {%- set conditions = conditions ~ " and change_id > " ~ published_id -%}
        {%- endif -%}
        {%- if model.config.meta.get('published_by') == 'states' -%}
            {%- set conditions = conditions ~ " and recomputes_states" -%}
        {%- endif -%}
        {%- if is_one_of_several() -%}
            {%- set conditions = conditions ~ " and " ~ is_kept_to('batch_id') -%}
        {%- elif is_limited() and not is_all -%}
            {%- set conditions = conditions ~ " and batch_id <> all('" ~ held_batches()
                ~ "'::bigint[])" -%}
        {%- endif -%}
        {%- set all_days = "date '0001-01-01' as from_date" -%}
        {% call statement('pending', fetch_result=true) -%}
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
                {%- if 'batch_id' in model.columns %}
                union
                select batch_id from {{ this }}
                {%- endif %}
                {%- endif %}
            ) as examined
            where batch_id not in (select batch_id from pending_batches where batch_id is not null);
            {%- endif %}
            {%- if model.config.meta.get('unchanged_by') and not is_all %}
            {{ narrow_pending(model.config.meta.get('unchanged_by')) }};
            {%- endif %}
            analyze pending_assignments, pending_batches;
            {{ select_pending() if not is_all }}
        {%- endcall %}
        {%- if not is_all -%}
            {%- set literals = pending_literals(load_result('pending').table.rows[0].values()) -%}
        {%- endif -%}
    {%- endif -%}
    {{- return({
        'is_all': is_all,
        'is_kept': is_kept,
        'last_change_id': last_change_id,
        'literals': literals,
    }) -}}
{%- endmacro %}


{#-
  The statements that move what is pending on to the first day whose row would not come out as it
  is stored, and take those assignments out that have none. A change names all assignments of its
  lineage, and what changes all days of an assignment may be none of its day. By what to see it,
  the model's meta tells:

  unchanged_by   `all_days` and `day`, each with a `model` made before it and a `column`: there, by
                 assignment, the fingerprint of what all days of the assignment follow from, and, by
                 assignment and day, that of what the day alone follows from; in the model itself,
                 on each row, those that it was made by
-#}
{% macro narrow_pending(unchanged_by) -%}
    {%- set all_days, day = unchanged_by.all_days, unchanged_by.day -%}
            update pending_assignments as pending set
                from_date = case
                    when
                        (
                            select new.{{ all_days.column }}
                            from {{ layer_relation('intermediate', all_days.model) }} as new
                            where new.assignment_id = pending.assignment_id
                        ) is distinct from (
                            select stored.{{ all_days.column }} from {{ this }} as stored
                            where stored.assignment_id = pending.assignment_id
                            limit 1
                        )
                        then date '0001-01-01'
                    else (
                        select min(state_date)
                        from (
                            select new.state_date, new.{{ day.column }}
                            from {{ layer_relation('intermediate', day.model) }} as new
                            where
                                new.assignment_id = pending.assignment_id
                                and new.state_date >= pending.from_date
                        ) as new
                        full join (
                            select stored.state_date, stored.{{ day.column }}
                            from {{ this }} as stored
                            where
                                stored.assignment_id = pending.assignment_id
                                and stored.state_date >= pending.from_date
                        ) as stored using (state_date)
                        where new.{{ day.column }} is distinct from stored.{{ day.column }}
                    )
                end;
            delete from pending_assignments where from_date is null
{%- endmacro %}


{#-
  A relation, limited to what is pending for the model, under an alias (default: the relation's
  name).

  by       `assignments` or `batches` that have a pending change: all their rows, or
  day      a column of days: only those from the first changed day on
  since    `week`: from the Monday of the first changed day on, `week_before`: from the Monday
           before that one on; `day_before`: from the day before on
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
    {%- elif since == 'day_before' -%}
        {{ changed_day }} - 1
    {%- else -%}
        {{ week_start_date(changed_day) }}{{ ' - 7' if since == 'week_before' }}
    {%- endif -%}
{%- endmacro %}


{#- The statement that removes a kept table's rows of pending changes. -#}
{% macro delete_pending(relation, published_by, pending) -%}
    {%- if pending.is_all -%}
        delete from {{ relation }}
    {%- elif published_by == 'assignments_and_batches' -%}
        {{ delete_pending(relation, 'assignments', pending) }};
        {{ delete_pending(relation, 'batches', pending) }}
            and stored.assignment_id is null
    {%- elif published_by == 'places' -%}
        {%- set places = model.config.meta.get('places') %}
        delete from {{ relation }} as stored
        where
            not exists (
                select 1 from {{ layer_relation('intermediate', places.model) }} as present
                where
                    {{ same_place('present', 'stored') }}
                    and present.inputs_hash = stored.inputs_hash
            )
            or exists (
                select 1 from {{ layer_relation('intermediate', places.stays) }} as stays
                inner join pending_batches as pending on stays.batch_id = pending.batch_id
                where {{ same_place('stays', 'stored') }}
            )
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


{#-
  Notes, in the model's own transaction, up to which change it is up to date. One of several runs
  does not: it has followed the changes of its own batches alone.
-#}
{% macro mark_published(pending) -%}
    {%- if pending and not is_one_of_several() -%}
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
    {%- set models = models_of_run() -%}
    {%- set names = [] -%}
    {%- for unique_id in reached_from(model.unique_id, 'parents')
        if models[unique_id].follows_changes -%}
        {%- do names.append(models[unique_id].name) -%}
    {%- endfor -%}
    {{- return(names) -}}
{%- endmacro %}


{#- The names of all models that are made from this one. -#}
{% macro descendant_names() -%}
    {%- set models = models_of_run() -%}
    {%- set names = [] -%}
    {%- for unique_id in reached_from(model.unique_id, 'children') -%}
        {%- do names.append(models[unique_id].name) -%}
    {%- endfor -%}
    {{- return(names) -}}
{%- endmacro %}


{#- The ids of all models that `parents` or `children` lead to from one, without itself. -#}
{% macro reached_from(unique_id, edges) -%}
    {%- set models = models_of_run() -%}
    {%- set found = {unique_id: true} -%}
    {%- set ahead = [unique_id] -%}
    {#- a loop may not grow the list it goes through -#}
    {%- for _ in models if ahead -%}
        {%- for other in models[ahead.pop()][edges] if other not in found -%}
            {%- do found.update({other: true}) -%}
            {%- do ahead.append(other) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do found.pop(unique_id) -%}
    {{- return(found | list) -}}
{%- endmacro %}
