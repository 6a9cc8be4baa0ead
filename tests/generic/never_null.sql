{#
    None of the columns is null on any row. One test for all such columns of a model: dbt takes
    longer to run a test than most tables take to be read, and the large ones are read once.

        data_tests:
          - never_null:
              arguments:
                columns: [assignment_id, state_date]
#}
{% test never_null(model, columns) %}
select {{ columns | join(', ') }}
from {{ model }}
where
    {%- for column in columns %}
    {{ 'or ' if not loop.first }}{{ column }} is null
    {%- endfor %}
{% endtest %}
