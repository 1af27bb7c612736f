"""What several commands share: options, progress bars, what is printed, and files by their suffix."""
