"""Who calls: credentials, keys and their quotas."""
