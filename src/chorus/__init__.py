"""Chorus: a self-hosted platform for voice AI agents on the telephone."""

__version__ = "0.1.0"
