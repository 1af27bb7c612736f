"""The section Flips of the page Inside: a confusion matrix, and a gallery of the images that change sides."""
