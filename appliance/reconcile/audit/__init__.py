"""Evidence bundles: written from a data folder, and checked against one; read-only on the data, with or without a service on it.

In: a data folder, a time range, a bundle. Out: a folder of plain files (``cold.batch.audit.bundle`` has the format), or a list of what
differs. Files are hashed in threads of a pool. Never here: repairs, writes to the data, locks.
"""
