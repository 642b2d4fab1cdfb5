"""Models: what is asked of history, how a model is made of it, how good it is, whether it may be used, how it is stored. Pure.

In: hourly means by key (a query gives them, so memory follows keys and hours, not records). Out: a ``Model`` with its quality, and the
decision. It runs no query and writes no file; ``appliance.batching.training`` does.
"""
