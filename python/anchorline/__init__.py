"""One actual state per salmon assignment and day."""
