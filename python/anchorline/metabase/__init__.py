"""Dashboards as code: questions that dbt checks, pushed to a Metabase server.

Under analyses/metabase each folder is a dashboard: a `dashboard.yml`, and a query per question.
"""
