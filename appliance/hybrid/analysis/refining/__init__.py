"""The deep pass, carried out: incidents that opened or grew are queued as batch work, looked at again, and get a better answer.

In: incidents, the lake through the queries of batch work, words of people. Out: answers for ``Incidents``, and models of what is usual for
the first pass. ``Refining`` is the part of the service; the computing is done by ``deep`` in a process of its own. It writes no record, and
a kill at any moment loses no look and gives no second answer.
"""
