"""Measurements that print a ratio against a floor."""
