"""Who is served next, and where: one fact in, actions out. Pure."""
