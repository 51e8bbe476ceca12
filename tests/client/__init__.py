"""Tests of `vidlink.client`: the reference client against the real server, in memory."""
