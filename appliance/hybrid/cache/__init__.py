"""The result cache: answers that are kept for whoever asks again, and parts of answers that only have to be completed.

In: questions on their way to the queries, their answers, each published state. Out: bytes at once, or rows of closed buckets that
stand in for records. ``Cache`` owns all that is kept, in memory alone: a kill leaves nothing that could be stale. What an answer
depended on is compared with each newer state before it is given, so no answer is given that the records of that state would not give.
Never here: DuckDB, a file, a wait of a commit.
"""
