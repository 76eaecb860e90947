"""Account: recorded rows → energy curves → ledger → footprint. Pure functions: no I/O, no clock, no tables."""
