"""A day's small segments become few sorted ones: planned purely, carried out by a process of its own, committed by the writer.

In come segments as the manifest knows them, out go new segments that hold the same records, twins made one where the whole
day was read. The inputs stay as they are: the caller swaps both in the manifest, and the janitor removes the inputs when no
reader needs them. ``plan`` says what, ``driver`` starts and watches the process, ``process`` does the work with ``merge``
(or ``sort``, where files don't lie in the order needed) and ``twins``.
"""
