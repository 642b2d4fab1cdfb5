"""The deep pass, computed: what records before AND after say of a record, of a series, of an incident. Pure, by column; numpy and pyarrow.

In: tables of values that queries gave, and an incident with its members. Out: scores, findings, and a ``Refined`` answer with its verdict,
confidence and basis. ``looking`` is the one program of it, run as a process of its own. Nothing here asks the lake, stores or reads a
clock: ``appliance.hybrid.analysis.refining`` does.
"""
