"""The database's schema, step by step. `run.py` applies it; `versions/` holds the steps."""
