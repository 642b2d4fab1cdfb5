"""Numbers: an anomaly score for each record of each series as it comes, with what was expected and a reason. Pure; arrays over series.

In: slots (one a series), event times, values, in the order of arrival. Out: a ``Scored``; reasons for the few that matter. ``Scorer`` owns
what is known of each series, bounded by ``SLOT_BYTES_MAX``; who follows the records owns the ``Scorer``, gives the slots and stores its
``dump``. A score depends on that record and earlier ones of its series alone, not on how records are cut into calls nor on a restart. It
reads no clock and no file, and learns no labels.
"""
