"""The only owner of the scheduler, and the lives of the replicas it decides about."""
