"""The rules of identity, on a SQLAlchemy session. Nothing here knows of the web framework, and nothing commits."""
