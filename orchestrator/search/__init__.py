"""Which config next? Pure strategies: values in, values out."""
