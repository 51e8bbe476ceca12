"""What is remembered of the live streams, and who hears of it. No sockets, no disk."""
