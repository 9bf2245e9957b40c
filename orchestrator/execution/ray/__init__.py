"""Trials on Ray: everything that knows Ray."""
