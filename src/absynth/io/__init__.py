"""Files: atomic writes, checksums, layouts, tables and logs."""
