"""Tests of `vidlink.sentinel.capture`."""
