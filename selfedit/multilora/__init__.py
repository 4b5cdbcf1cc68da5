"""A frozen model with n adapter slots."""
