"""Floor 4: trains recipes. The only floor that imports torch; knows neither Optuna nor SQL."""
