"""The child that becomes the program."""
