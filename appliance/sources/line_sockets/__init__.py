"""The parts of the line-protocol listeners: datagrams (``udp``), connections (``tcp``), their way to the door (``gather``, ``feeder``)."""
