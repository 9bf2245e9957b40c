"""Who watches a sweep, and what they are shown."""
