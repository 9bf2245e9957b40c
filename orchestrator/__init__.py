"""Any W&B sweep, unchanged, on your own GPUs and Ray cluster, with or without the W&B cloud."""
