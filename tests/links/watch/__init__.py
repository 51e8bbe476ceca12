"""Tests of `vidlink.links.watch`."""
