"""The command `absynth`: a thin layer over the workflow for those who do not want to write a config file."""
