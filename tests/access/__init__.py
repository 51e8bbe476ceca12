"""Tests of :mod:`vidlink.access`."""
