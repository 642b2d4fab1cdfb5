"""Search: full text over records and names, one ranked answer over hot and cold, exact for one pinned state.

In: committed records, segments of the lake, the books of streams, alerts and incidents. Out: hits with snippets; what the indexes hold.
An index only says where to look and can always be made again from the records: a record that none covers is read itself. It owns the
folder ``search`` and writes nowhere else; it never keeps a commit, a roll or a compaction waiting, and never imports DuckDB.
"""
