"""Hearing and speaking engines, behind the Protocols in `engines.py`."""
