"""What the database has of TimescaleDB, and what its owner may do with it."""
