"""Ways in and out: one folder a provider, each behind the Protocol in `line.py`."""
