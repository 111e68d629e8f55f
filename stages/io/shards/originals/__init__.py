"""Search of what is published beside an image for the original: in text, numbers, files and ways back to it."""
