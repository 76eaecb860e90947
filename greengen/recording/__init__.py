"""Record: readings and spans go to a run file on disk, append-only. No numpy, no network."""
