"""A small language model that translates between two made-up languages, and smaller forms of it."""
