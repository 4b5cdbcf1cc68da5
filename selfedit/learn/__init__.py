"""Learning documents: preparation, and the run itself."""
