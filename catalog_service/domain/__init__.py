"""The rules of the catalog, on a Session: no HTTP, no commits."""
