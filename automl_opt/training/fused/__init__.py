"""Trials of one architecture trained as one batched model."""
