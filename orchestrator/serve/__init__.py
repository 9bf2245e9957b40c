"""`sweep serve`: live pages of all sweeps of a runs directory, and what may be asked of sweeps there."""
