"""What is wrong with a trial, from its reports alone. Pure: values in, flags out."""
