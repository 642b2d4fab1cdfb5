"""The kinds of channel, one module a kind: a message in, one bounded attempt, ``Delivery`` or ``Undelivered`` out.

No channel retries, waits or remembers messages; that is the outbox. Each attempt ends within its time-out, whatever the other side
does. The libraries of the extras are imported only when a channel needs them.
"""
