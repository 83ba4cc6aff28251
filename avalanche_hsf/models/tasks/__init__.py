"""What belongs to a task, and how a batch that mixes tasks runs."""
