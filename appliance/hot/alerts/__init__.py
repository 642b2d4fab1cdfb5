"""The life of alerts: signals in, transitions and messages out.

All that decides is a pure function of an instance, a signal and a time (``life``, ``dispatch``, ``placing``). A ``Draft`` applies one round
to what the ``AlertBook`` holds and becomes a ``Plan``; ``tables`` writes it inside a transaction of the writer, and only then the book
accepts it. The processor's thread owns the book, the writer's thread the tables; nobody else touches either.

It never evaluates a condition and never hands a message over.
"""
