"""Latency and cost as a whole: what the process uses is measured and shared out, budgets are watched, and both are stored and shown.

In come the notes of whoever carries a workload out (``Latencies``, ``Costs``) and the kernel's own counts; out go rows in the hot
store once a minute, pictures for the surfaces, and alerts for missed budgets. It decides nothing about where a workload runs.
"""
