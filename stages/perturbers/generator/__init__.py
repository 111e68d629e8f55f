"""The paper's generator: encoder, embeddings of labels, decoder, and the base methods that train it."""
