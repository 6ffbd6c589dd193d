"""Which optimizer, schedule and regularization should train my model, and how sure are you?"""
