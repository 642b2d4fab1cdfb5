"""Tests of the queries: what is admitted, what is read, whether the answer is the one over a flat list of records."""
