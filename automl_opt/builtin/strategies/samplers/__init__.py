"""The samplers of our own strategies: what their specs name, imported on first use."""
