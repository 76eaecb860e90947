"""Built-in reports: each renders one document."""
