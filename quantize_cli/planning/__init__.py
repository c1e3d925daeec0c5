"""The plan: everything about the output that headers and configuration decide, before any weight is read."""
