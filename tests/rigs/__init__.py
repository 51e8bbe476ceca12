"""Daemons, scripted peers and networks, which live tests, faults and benchmarks are set up with."""
