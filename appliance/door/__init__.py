"""The door: where batches are checked, numbered, committed and acknowledged, and nowhere else.

In: ``Submission``s from the sources. Out: a ``Receipt`` after the commit is durable, refused records in the dead letters, and a
new ``State``. The writer thread owns the write connection, the ring and the last values. Never here: files of the
lake, queries, protocols.
"""
