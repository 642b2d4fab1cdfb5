"""The hot path: newest records in memory (ring), durable in SQLite (hot store), and the last value of each series.

In: committed batches from the door's writer, which owns everything that changes here. Out: ``State``, an immutable picture
that readers pin. Never here: files of the lake, DuckDB, clocks.
"""
