"""Floor 5: runs a study from its file to its ranking."""
