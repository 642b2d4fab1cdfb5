"""The life of alerts: signals in, transitions and messages out.

All that decides is a pure function of an instance, a signal and a time; ``tables`` writes what was decided inside a transaction of
the writer. It never evaluates a condition and never hands a message over.
"""
