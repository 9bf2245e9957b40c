"""Files of other systems, read and written: event files, W&B logs."""
