"""Names of documents, and the links between documents that mention them."""
