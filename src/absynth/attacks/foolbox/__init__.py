"""Attacks that Foolbox implements, made to ask a Target."""
