"""Importing books: files are read row by row, repaired where that can be done honestly, and upserted in batches."""
