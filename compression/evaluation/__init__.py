"""From predictions to accuracy with its uncertainty: samples, halves of the test images, significance tests."""
