"""Training of the models, with curves and checkpoints."""
