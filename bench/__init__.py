"""Load generators and the peer that Chorus is measured beside. See README.md here."""
