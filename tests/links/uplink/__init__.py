"""Tests of `vidlink.links.uplink`."""
