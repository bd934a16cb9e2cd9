"""What runs in the process that reads documents, and what it says to the one that asks."""
