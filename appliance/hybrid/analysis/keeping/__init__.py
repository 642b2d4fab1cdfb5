"""Incidents, kept: what was decided is stored in one transaction with the alert that it moves and the messages about it, then told.

In: sightings from the first pass, answers from the deep one, words of people. Out: tables of ``hot.sqlite``, alerts, events, and
pictures for every surface. ``Incidents`` owns what is known in memory, behind a lock, since those who call are several threads; memory
follows the transaction. It decides nothing that ``incidents`` has not decided, and looks at no record.
"""
