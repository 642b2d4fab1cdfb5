"""Alerts as a whole: the rules of the config, the processor that evaluates them, the outbox that tells, the desk that answers.

In come the config and the door's word of each commit; out go transitions for whoever follows, and messages to channels. It wires
``hot.stream``, ``hot.alerts`` and ``notify`` to one another and to the writer, and decides nothing that they decide.
"""
