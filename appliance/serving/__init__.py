"""Answers: the merged view over hot and cold, queries in worker processes, the HTTP interface, push, and the status of the box.

In: questions, and one pinned ``State`` a query; events, from any thread. Out: rows, in every format; events to those who follow, none
of whom is ever waited for. Never here: writes to the store or the lake; and never DuckDB in the service's own process.
"""
