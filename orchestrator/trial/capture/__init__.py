"""What a program logs, by whatever library: one file each."""
