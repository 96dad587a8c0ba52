"""The rules of reviewing, on a Session: no HTTP, no commits."""
