"""Strangers, and insiders, that mean harm to a real server with credentials: what each attack gets,
and what it costs the server and whoever is watching meanwhile."""
