"""Analysis: what is unusual is said at once by a first pass over each record, and again by batch when it has looked.

In: committed records, the config, models that batch has trained. Out: sightings, incidents, their answers. The pure parts (``numeric``,
``texts``, ``incidents``, ``deep``) know values and times alone; ``live`` follows the records and owns what is known of each series.
"""
