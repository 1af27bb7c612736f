"""Images: CIFAR-10 from any source, fetched, checked and cached."""
