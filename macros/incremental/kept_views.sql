{#-
  Lets one model at a time put its table in place, until its transaction ends: views on two tables
  that are swapped at once would each wait for the other's table (a deadlock). And takes the views
  on the table before the table, in the order in which a query takes them: to set the owner that a
  view has changes nothing, and locks it.
-#}
{% macro swap_alone(relation) -%}
select pg_advisory_xact_lock(hashtext('anchorline swap'), 0);
do $locked$
declare
    kept record;
begin
    for kept in {{ views_on(relation) }}
    loop
        execute format('alter view %s owner to %I', kept.view_name, kept.owner_name);
    end loop;
end
$locked$
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
    for kept in {{ views_on(old_relation) }}
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


{#-
  The query of the views on a table, in the order of their names. A view of somebody else, which
  this role may not change, goes with the old table, as after every build of plain dbt.
-#}
{% macro views_on(relation) -%}
        select distinct
            views.oid::regclass::text as view_name,
            pg_get_userbyid(views.relowner) as owner_name
        from pg_catalog.pg_depend as depends
        inner join pg_catalog.pg_rewrite as rules on depends.objid = rules.oid
        inner join pg_catalog.pg_class as views on rules.ev_class = views.oid
        where
            depends.classid = 'pg_catalog.pg_rewrite'::regclass
            and depends.refclassid = 'pg_catalog.pg_class'::regclass
            and depends.refobjid = to_regclass({{ sql_literal(relation) }})
            and views.relkind = 'v'
            and pg_has_role(views.relowner, 'usage')
            -- (not what TimescaleDB keeps of continuous aggregates)
            and views.relnamespace
            <> coalesce(to_regnamespace('_timescaledb_internal')::oid, 0)
        order by view_name
{%- endmacro %}
