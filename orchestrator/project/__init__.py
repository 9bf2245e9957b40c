"""The user's project: which of its files a sweep runs, a copy of them beside the ledger, and whether they changed since."""
