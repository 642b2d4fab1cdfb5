"""Batch work as it runs: what ``cold.batch`` decides is carried out here, in processes of its own, and committed by the writer.

In: the config's views, jobs, reports and trainings, the published state, the clock. Out: runs with their cost and their outcome,
each outcome durable in one transaction before anybody is told. It owns the queue of what waits and the processes that work.
It never reads or writes a record in the service's own process, and never keeps the hot path waiting.
"""
