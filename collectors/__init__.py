"""Built-in collectors: one file per interface."""
