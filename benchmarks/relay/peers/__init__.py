"""The servers that are compared: ours, and what others would build the same of."""
