"""The `vidlink` commands as a person runs them."""
