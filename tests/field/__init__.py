"""What was reported from the field, with real daemons, tools and media: each is one of its kind."""
