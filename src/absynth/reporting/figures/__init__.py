"""Figures: functions of tables and images that draw, compute no statistics, and return what they drew."""
