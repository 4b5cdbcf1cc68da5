"""Learning beside serving: jobs on the disk, the thread that does them, and how it takes turns with answers."""
