"""Sessions: stretches of activity of one key, each stretch one row.

In come rows by column (dense key ids, times, sequences, the vectors of the aggregates, the watermark before each row); out come the
sessions that have closed (``values.Closed``) and the late records that belong to none that may still change. ``tracker`` holds the
sessions and decides by array where every record continues or starts one; ``walk`` goes step by step through the keys of which a
record came too late or a session grew too long; ``pool`` is the table of sessions, ``measures`` (``arguments``, ``cells``, ``arena``)
their aggregates, ``known`` what each key has. ``bodies`` writes the state of a key as JSON and reads it back; ``rows`` makes records of
the workload's own stream, ``live`` what surfaces show.

What a session is. Records of one key that follow each other in event time by less than ``gap``; one exactly a gap later starts the
next. A session never lasts longer than ``longest``: the record that would make it so starts the next. It is closed when the
watermark reaches its end plus the gap, or when a record of the key starts the next.

What happens with late records (event time before the key's newest). A key has its current session and remembers one closed session,
*the one before*, as long as no other takes that place; of all others only their edges are known. The identity of a session that was
closed by the watermark, and of the one before, is settled: key and start don't move any more. A late record

1. within the current session joins it; within less than a gap (and not before the start) of the one before, it joins that one;
2. less than a gap before the current session moves its start, unless that is settled or it would last longer than ``longest``;
3. that fits both makes one session of them, with the start of the one before, unless one of those two reasons forbids it: then 1;
4. at least a gap away from every session is one of its own, closed at once, and becomes the one before, so that a delivery of old
   records goes on from there;
5. is told in ``Closed.late`` and counted in ``late`` otherwise: it would change a session that is no longer remembered, or a start
   that is settled.

A closed session that changes is given again with the same identity (key and start) and replaces its earlier row. It is given once a
round in which it changed, so the rows that were replaced depend on how records are cut into rounds; what remains after replacement,
and what is late, does not, bit for bit. With ``longest``, sessions touch where they were parted by it; a late record is then put to
the one in whose time it lies, and parts are never cut anew.

A record that is given twice counts twice: who calls tells repeats apart.

Owned by the processor's thread. Nothing here reads a clock, does I/O or loops over records in Python, but for those keys in a round
that ``walk`` takes.
"""
