"""Which Python a sweep's trials run in: found by one rule, asked what it is and has, shown before anything runs."""
