"""The HTTP interface: what InfluxDB's clients speak (write, probes, the little of ``/query``), and what our own clients ask.

In: requests on TCP and on the unix socket of the data folder. Out: submissions to the door, questions to the queries and to the
alert desk, events for those who follow, answers whose status codes, headers and bodies are what real clients depend on. ``app`` is
the way of a request, ``context`` all that it is handed from the wiring, ``server`` the listening. Everything here runs on the event
loop; parsing runs in the parse pool, and what may take its time in threads.

Never here: SQL, files of the lake, the write connection, an answer 2xx before the commit is durable.
"""
