"""Whether what is on disk is what was written, and whether both sides of the mark agree.

In: a data folder, read-only, with or without a service on it. Out: findings, each with the file and the exact range. Never
here: repairs, writes, locks.
"""
