"""Where records come from: one file or folder for each kind, all giving batches.

In: bytes from sockets, files, brokers and the machine itself. Out: ``Submission``s to the door, and the protocol's own
acknowledgement after the receipt. Each source owns its sockets and threads, and pauses while the door is behind. Never here:
schemas of streams, sequences, the store.
"""
