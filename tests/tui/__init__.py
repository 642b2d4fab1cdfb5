"""The terminal UI against a simulated box."""
