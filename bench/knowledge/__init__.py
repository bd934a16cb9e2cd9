"""How well and how fast passages of documents are found."""
