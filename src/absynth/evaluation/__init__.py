"""What runs amount to: minima over attacks, brackets, calibration, statistics, audit and verification."""
