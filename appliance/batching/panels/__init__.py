"""Panels: queries whose newest answer is kept ready, one workload on any path.

In: the panels of the config with the paths that their needs put them on, commits of the streams that they read, and the answers of query
processes. Out: the newest answer of each, stored with what it has seen, its history as records, and an event for each. ``Book`` alone
decides which answer counts, whichever path has made it; ``Live`` asks continuously (hot, hybrid), ``PanelWork`` in batch (cold). Never
here: DuckDB, a row that is computed, or a wait of somebody who asks a query: panels are asked in processes of their own.
"""
