{#
    No two rows agree in all of the columns: the grain of a model whose key has several.

        data_tests:
          - unique_combination:
              arguments:
                columns: [assignment_id, state_date]
#}
{% test unique_combination(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
