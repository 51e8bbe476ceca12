"""Tests of what a person runs by hand: `vidlink` and its commands."""
