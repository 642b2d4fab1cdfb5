"""Latency and cost: what is shared out, what is stored, what budgets make of it."""
