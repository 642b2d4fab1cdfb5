"""The tally: hashes of records that know no order, and books that agree with what lies in store and lake."""
