"""The Sentinel: where pictures come from, how they are encoded, and the road to the server."""
