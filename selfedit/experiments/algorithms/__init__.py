"""From a round's outcomes to what the policy learns from."""
