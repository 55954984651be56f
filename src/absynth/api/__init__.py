"""What a user calls in Python: runs to read, attacks and evaluations of a model at hand."""
