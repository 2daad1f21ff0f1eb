"""From recordings of any length to what was heard when, and how that is written."""
