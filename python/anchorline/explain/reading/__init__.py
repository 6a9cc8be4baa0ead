"""The queries: each reads by key, and none is asked once per row."""
