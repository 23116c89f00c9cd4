"""The questions that are asked of the records, each defined once for every database."""
