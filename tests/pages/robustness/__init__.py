"""What strangers may do to the pages."""
