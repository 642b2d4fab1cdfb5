"""Which workload runs where: what it needs, and the rules that follow from that. Pure.

In: the needs of a workload, as its kind and the config say and as was measured. Out: a path (hot, cold or hybrid), the rule that
decided and its reason. Never here: I/O, a clock, or anything that carries a workload out.
"""
