"""What the page sees as it happens."""
