"""Figures: they read tables and draw; they never compute."""
