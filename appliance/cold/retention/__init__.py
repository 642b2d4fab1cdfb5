"""Which days of history go, and when the disk will be full: decided here, carried out by the housekeeper.

In come the manifest's values, the options, what is still needed and a time; out go a plan (``plan``) and a forecast (``forecast``).
Pure: nothing here reads a clock, a file or a table, and nothing is removed here.
"""
