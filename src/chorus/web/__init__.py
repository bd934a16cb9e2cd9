"""What browsers are given. The files in here are not Python."""
