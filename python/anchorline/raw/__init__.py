"""The raw operational tables: what they look like, and how to make them."""
