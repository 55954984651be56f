"""Attacks: upper bounds on each image's smallest adversarial perturbation."""
