"""Lower bounds on the distance of images to the decision boundary (docs/derivations/certificates.md)."""
