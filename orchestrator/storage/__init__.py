"""A second copy of a sweep's directory in a store elsewhere, kept up to date while the sweep runs."""
