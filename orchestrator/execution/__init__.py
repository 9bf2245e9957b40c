"""Where trials run: workers on Ray. The only home of Ray outside a trial's own process."""
