"""Whether what is on disk is what was written, whether both sides of the mark agree, and whether what is derived is what it should be.

In: a data folder at one instant (``look.Look``), with or without a service on it. Out: findings, each with the file and the exact
range, and what came of them. Checks only read; repairs write through the box's one writer, and only what something that is left
proves. Never here: a guess, a second writer, a record that nobody has committed.
"""
