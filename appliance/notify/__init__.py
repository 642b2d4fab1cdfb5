"""Messages to people and programs: rendering, channels, and the outbox that hands over at least once.

In: ``Message`` values that are durable already (they have an id), and the options of channels. Out: what each channel sends, and
calls that say what became of each message (``on_sent``, ``on_failed``, ``on_dead``), which the wiring makes durable.

Who owns what: ``Outbox`` is the front; each channel has one worker thread, the only one that changes the channel's queue of waiting
messages. The store keeps every message until its outcome is written; what is in memory here is a bounded beginning of that.

Never here: deciding whether somebody is told (that is dispatch), writing to the store, a channel that delays another, a password in
a log or an error.
"""
