"""Methods: one file each, which names its learners in `LEARNERS`."""
