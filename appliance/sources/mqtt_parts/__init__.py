"""The parts of the MQTT source: the broker's session (``session``), what a message says (``payloads``), when it came (``arrivals``)."""
