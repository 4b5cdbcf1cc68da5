"""Few-shot tasks, solved one by one."""
