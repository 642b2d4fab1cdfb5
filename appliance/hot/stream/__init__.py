"""The stream processor: committed records in, signals out.

In come the rows of a stream in the order of their sequences; out go points by column, and of these the few signals that may move an
alert. One owner, the processor's thread. It never writes, never reads a clock, and never loops over records in Python.
"""
