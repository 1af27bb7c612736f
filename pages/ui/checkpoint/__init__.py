"""The page Bring your own: a checkpoint is uploaded, recognised and evaluated."""
