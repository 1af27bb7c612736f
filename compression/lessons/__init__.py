"""What students read about each method."""
