"""One conversation, from the first sample to the record. No database, no HTTP server."""
