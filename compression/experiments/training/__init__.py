"""Training on workers, in short chunks of steps that are saved: for all sessions, behind everything that is live."""
