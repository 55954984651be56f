"""Inference of latents: E*_c(x) = min_z ‖G_c(z) - x‖² + ½‖z‖² for every image and class."""
