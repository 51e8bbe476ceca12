"""Tests of the values VidLink speaks of."""
