"""From a closed call to the store: recorder and journal here, the bookkeeper in a process of its own."""
