"""What the processes of a trial say to each other and leave on disk."""
