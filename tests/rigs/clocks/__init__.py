"""Clocks of a machine that are not what they should be: set by somebody, or after a sleep."""
