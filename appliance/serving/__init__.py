"""Answers: the merged view over hot and cold, queries in worker processes, the HTTP interface, and the status of the box.

In: questions, and one pinned ``State`` a query. Out: rows, in every format. Never here: writes to the store or the lake; and
never DuckDB in the service's own process.
"""
