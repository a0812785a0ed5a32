"""Training that any domain can use: recipes in, an exactly resumable run out."""
