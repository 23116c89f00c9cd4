"""The life of one call, from its head to its closed record."""
