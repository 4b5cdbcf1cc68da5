"""A run's folder: its facts, its records, its report."""
