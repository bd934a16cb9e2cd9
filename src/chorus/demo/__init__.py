"""What `chorus demo` starts beside the platform: a telephone network in a box."""
