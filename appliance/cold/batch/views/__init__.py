"""Views, decided: which SQL can be one, what its columns are, and what a refresh makes next. Pure.

In: parse trees as DuckDB writes them (made in a query process), the state of a view, times. Out: ``Definition``, ``Step``, or the
reason of a refusal. It parses no text itself, runs nothing and opens no file; ``appliance.batching.views`` does.
"""
