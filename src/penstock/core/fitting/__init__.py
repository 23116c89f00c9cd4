"""Who must leave so that another fits: by memory, by groups, or by a matrix of sets. Pure."""
