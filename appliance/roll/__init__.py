"""Hot → cold: which records cross the mark (``plan``, pure) and how (``roller``, files only).

In come counts and the hot rows of a stream, out go written segments as values. The mark itself is moved by the writer, in
one transaction with the segments' rows in the manifest; nothing here opens SQLite or knows who reads.
"""
