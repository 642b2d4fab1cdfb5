"""What evidence says: the chain replayed, gaps found, the bundle's format, what differs. Pure.

In: entries of the chain, spans of time and of sequences, what was found of files. Out: what must be there, and what is not as it
should be, in words. It opens no file and no database; ``appliance.reconcile.audit`` does.
"""
