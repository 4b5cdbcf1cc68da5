"""Learning from what comes: a folder that is watched, or lines on standard input.

Source -> Batcher -> Learner, in `Stream`; `State` is what is remembered over restarts and kills.
"""
