"""The ledger: the SQLite database that is the only truth about a sweep."""
