"""What a run consists of, where it runs, and what its rules depend on."""
