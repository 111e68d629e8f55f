"""Images: encoded bytes to pixels and back, without a loss."""
