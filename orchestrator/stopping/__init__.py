"""Which running trial ends early? Pure rules: values in, values out."""
