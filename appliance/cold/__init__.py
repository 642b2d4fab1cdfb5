"""The cold path: the lake's files, from the roll that writes them to the compaction that makes them few.

In come records that the hot path has committed, sorted into days; out go immutable Parquet files and values that describe
them (``manifest.Segment``). The manifest itself is the hot store's: nothing here opens SQLite, knows the ring, or decides
what is live. Whoever calls commits the value that it gets back, and only then do readers see the file.
"""
