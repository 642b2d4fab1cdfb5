"""Tests of batch work: when it is due, what goes first, what a run may use, and that no kill loses a run or does one twice."""
