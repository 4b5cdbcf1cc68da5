"""The outer loop: reinforcement learning on the score after the update teaches a policy to write better self-edits."""
