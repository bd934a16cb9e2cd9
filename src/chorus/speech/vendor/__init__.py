"""What the adapters of vendors over the network share: the socket, the failures, the skeletons."""
