"""Notations, from bytes to batches: pure functions of their input, shared by all sources.

In: bytes (a body, a piece of a file). Out: batches and rejects. A codec opens nothing, waits for nothing, and reads no clock; the
source that calls it hands in the time. Hot ones work by column and release the interpreter lock, so that two threads parse at once.
"""
