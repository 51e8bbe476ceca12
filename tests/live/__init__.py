"""Real daemons on real sockets and a real disk."""
