"""Incidents, decided: which sightings belong together, when they are worth telling, when it is over, and how that is said. Pure.

In: sightings, how far event time has come, answers. Out: cases as they are from then on, and what has happened to them. Nothing here
stores, tells or reads a clock; event time decides, and the same sightings give the same incidents however they are cut into rounds.
"""
