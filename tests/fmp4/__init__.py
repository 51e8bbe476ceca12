"""Reading and writing boxes."""
