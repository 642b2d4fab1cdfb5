"""Sealed indexes: for a segment of the lake one file that says in which rows which words stand. Built in batch, never changed.

In: the texts of a segment. Out: for a query, which rows fit. A file belongs to the content of one segment (its SHA-256) and to the fields
that were indexed; with the segment it goes. It holds no texts: phrases are looked up in the records.
"""
