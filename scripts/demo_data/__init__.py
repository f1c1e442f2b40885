"""What the demo's examples are made of: the specialists' tools, phrasings and values."""
