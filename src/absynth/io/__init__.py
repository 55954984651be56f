"""Files: written whole or not at all, with checksums, layouts and logs."""
