"""One sweep from what its ledger holds to its end."""
