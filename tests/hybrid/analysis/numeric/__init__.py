"""Claims about the first pass over numbers: what it finds, what it leaves alone, and that no score depends on how records come in."""
