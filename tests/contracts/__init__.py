"""One suite for each role: every provider passes it, fakes included."""
