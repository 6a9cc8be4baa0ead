{#
    Makes the tables that no model derives, which people and the refresh write into: schema
    `<target schema>_ops`. One statement at the start of every run, so that the models that read
    them always find them; it needs no right to create anything once all of it is there.
#}
{% macro create_ops_tables() -%}
    {%- if flags.WHICH in ('run', 'build', 'test', 'seed', 'snapshot', 'retry') -%}
        {%- set ops = adapter.quote(target.schema ~ '_ops') -%}
do $ops$
begin
    -- two runs that start at once must not both create
    perform pg_advisory_xact_lock(hashtext({{ sql_literal('anchorline ' ~ ops) }}));

    if to_regnamespace({{ sql_literal(ops) }}) is null then
        create schema {{ ops }};
    end if;

    if to_regclass({{ sql_literal(ops ~ '.manual_anchors') }}) is null then
        create table {{ ops }}.manual_anchors (
            manual_anchor_id bigint generated always as identity primary key,
            assignment_id bigint not null,
            anchor_date date not null,
            weight_g numeric not null,
            reason text not null,
            entered_by text not null,
            entered_at timestamptz not null default now()
        );
        comment on table {{ ops }}.manual_anchors is
        'Mean weights that an operator states for an assignment and day: anchors of their own.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.anchor_exclusions') }}) is null then
        create table {{ ops }}.anchor_exclusions (
            anchor_exclusion_id bigint generated always as identity primary key,
            anchor_type text not null,
            record_id bigint not null,
            reason text not null,
            excluded_by text not null,
            excluded_at timestamptz not null default now(),
            unique (anchor_type, record_id)
        );
        comment on table {{ ops }}.anchor_exclusions is
        'Measurements that must not be used as anchors: a bad sample need not be deleted.';
    end if;
exception
    when insufficient_privilege then
        raise exception using
            errcode = 'insufficient_privilege',
            message = case
                when to_regnamespace({{ sql_literal(ops) }}) is null
                    then format(
                        'The role %I may not create %s in the database %I (%s). Let its owner run: '
                        'grant create on database %I to %I;',
                        current_user, {{ sql_literal(ops) }}, current_database(), sqlerrm,
                        current_database(), current_user
                    )
                else format(
                    'The role %I may not use or fill the schema %s (%s). Let its owner run: '
                    'grant usage, create on schema %s to %I;',
                    current_user, {{ sql_literal(ops) }}, sqlerrm, {{ sql_literal(ops) }}, current_user
                )
            end;
end
$ops$
    {%- endif -%}
{%- endmacro %}
