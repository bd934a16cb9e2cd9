"""Who answered a call that was placed: found out by ear and by words, whatever the carrier says."""
