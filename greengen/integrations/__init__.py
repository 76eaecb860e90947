"""Adapters to runtimes and frameworks: one file each."""
