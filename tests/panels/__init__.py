"""Panels: one workload, any path."""
