"""The first pass as it runs: follows committed records by their sequences, scores each, and tells of what is unusual.

In: the published state, records of before, the config. Out: sightings, how far each stream has been learned. `Follower` is the thread and
owns all that is known; `Watch` is one analysis, `Followed` one stream of it. What is known is stored with the places it stands for, so
that after any end it goes on as if there had been none. It never waits for whoever brings records, and reads each once.
"""
