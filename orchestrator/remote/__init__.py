"""Sweeps on a cluster that this machine is no part of: how they get there, how they are asked, how results come back."""
