"""Floor 4: proposes trials. The only floor that talks to Optuna."""
