"""Texts: which template a text is an instance of, what kind of event that is, and whether it, its rate or its values are new.

In: texts by column, with event times. Out: template ids, templates, labels, scores with reasons. `Miner` owns the templates, `TextScorer`
what is usual about them; whoever follows the records owns both. Nothing here knows a system by name, keeps a record, or loops over records.
"""
