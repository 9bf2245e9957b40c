"""What runs on a trial's node: the warm fork server, the child it forks, and the capture inside it."""
