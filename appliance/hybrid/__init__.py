"""Hybrid workloads: a first answer out of what is hot, a better one when batch has looked: analysis, search, caches.

In: committed records by their sequences, the published state, the config. Out: incidents with their answers, hits, kept answers.
Each part owns its own state and rebuilds it from the records; none ever keeps a commit waiting, and the records are true without them.
"""
