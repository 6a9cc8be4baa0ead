{#-
  Lets one model at a time put its table in place, until its transaction ends: views on two tables
  that are swapped at once would each wait for the other's table (a deadlock).
-#}
{% macro swap_alone() -%}
    select pg_advisory_xact_lock(hashtext('anchorline swap'), 0)
{%- endmacro %}


{#-
  Points the views on a table that has just been swapped out at the one that took its place, in the
  same transaction. Otherwise they would go with the old table, and be missing until their own
  models have run: for good, where a test fails in between.
-#}
{% macro repoint_views(old_relation, new_relation) -%}
do $views$
declare
    kept record;
begin
    for kept in
        select distinct rules.ev_class::regclass::text as view_name
        from pg_catalog.pg_depend as depends
        inner join pg_catalog.pg_rewrite as rules on depends.objid = rules.oid
        inner join pg_catalog.pg_class as views on rules.ev_class = views.oid
        where
            depends.classid = 'pg_catalog.pg_rewrite'::regclass
            and depends.refclassid = 'pg_catalog.pg_class'::regclass
            and depends.refobjid = to_regclass({{ sql_literal(old_relation) }})
            and views.relkind = 'v'
            -- (not what TimescaleDB keeps of continuous aggregates)
            and views.relnamespace
            <> coalesce(to_regnamespace('_timescaledb_internal')::oid, 0)
    loop
        begin
            execute format(
                'create or replace view %s as %s',
                kept.view_name,
                replace(
                    pg_get_viewdef(kept.view_name::regclass),
                    {{ sql_literal(old_relation.identifier) }},
                    {{ sql_literal(new_relation.identifier) }}
                )
            );
        exception
            -- the columns are others: dbt drops the view with the old table, and makes it anew
            when invalid_table_definition or undefined_column then null;
        end;
    end loop;
end
$views$
{%- endmacro %}

