"""What is written down of calls, loads and hosts, and the formulas over it. Pure."""
