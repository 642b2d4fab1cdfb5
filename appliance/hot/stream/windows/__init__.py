"""Event-time windows by column: committed records in, the values of windows out, at each point where a condition is looked at.

In come rows with dense ids of their keys, the vectors that aggregates are over, and how far event time had come before each row; out
go ``Points``: of windows of fixed length (``PaneTable``) and of sessions (``SessionPanes``). Each is owned by the plan of its stream
and shared by all rules with the same keys and window: a state is kept once, whoever asks for it. What they give doesn't depend on the
rounds that rows come in, bit for bit, and DuckDB over the same records says the same. Nothing here reads a clock, does I/O, or loops
over records in Python.
"""
