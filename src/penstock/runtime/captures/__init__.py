"""What calls said and were answered, kept for a while."""
