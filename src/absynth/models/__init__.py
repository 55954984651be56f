"""The classifiers under test, and how to load them."""
