"""Events: triggers on the raw tables queue the batches that a write concerns, for a refresh."""
