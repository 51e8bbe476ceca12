"""Tests of what is remembered of the live streams."""
