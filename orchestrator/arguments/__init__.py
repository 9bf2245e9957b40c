"""What stands on a trial's command line: what is put there, and what a script takes, read from its source."""
