"""What the box says about itself: rates, latency, and one status value that every surface shows."""
