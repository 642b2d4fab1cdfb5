"""Tests of incidents: when one is worth telling, what belongs to it, and that what is said of it is stored, told and superseded as one."""
