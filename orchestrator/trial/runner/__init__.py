"""The worker's side: starts attempts, reads what they leave, tells how they end."""
