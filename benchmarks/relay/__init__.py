"""VidLink beside its peers: the same load on each, by turns, in one run.

``python -m benchmarks.relay --all`` from the root of the tree, on Linux with a C compiler.
"""
