"""What batch work is decided by: when it is due, what goes first, which buckets and days are to be made anew. Pure.

In: options, times, what is known of streams, views and runs. Out: plans, frozen values that can be printed and are tested as
tables. It never runs anything, opens no file and reads no clock; ``appliance.batching`` does.
"""
