"""A trial's files on their way from a node without the shared disk to the runs directory, and back: knows nothing of Ray."""
