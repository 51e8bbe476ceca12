"""Tests of :mod:`vidlink.loadtest`."""
