"""What a run does: methods, trainer, batches, checkpoints. It runs in a job process."""
