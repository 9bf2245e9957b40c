"""Machines that are reached by ssh: which there are, and a Ray on them that is kept running."""
