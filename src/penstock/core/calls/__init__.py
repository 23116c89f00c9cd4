"""What a call is, what it may, and what is kept of it. Pure."""
