"""RTP for one call: packets, codecs, order, losses, keys, encryption and statistics."""
