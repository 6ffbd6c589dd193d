"""Floor 2: finds plugins, keeps what they offer, and says why one is missing."""
