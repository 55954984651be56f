"""Certificates: lower bounds on each image's distance to the decision boundary (docs/derivations/certificates.md)."""
