"""Tests of several rooms together, without sockets or real time."""
