"""The appliance: records come in all day, are kept for years in open files, and answer any question as if they were one table.

`ARCHITECTURE.md` beside this file is the map. Importing this package does no I/O and imports none of its parts.
"""

__version__ = "0.1.0"
