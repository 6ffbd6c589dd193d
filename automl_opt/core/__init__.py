"""Floor 0: the frozen values every other floor passes around. Standard library only."""
