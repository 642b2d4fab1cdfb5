"""Wording: a language model on the box or its network may say what an incident's figures say, in other words. Off unless configured.

In: incidents as surfaces show them, a person's question. Out: a text that has passed its checks, or none, and then the built-in one stands.
``Words`` owns the way to the endpoint, one request at a time; ``Rewording`` owns the thread that words summaries anew. It sends nothing
but what the incident holds, texts of records as quoted data; it opens no socket without a URL; no score, verdict or alert depends on it.
"""
