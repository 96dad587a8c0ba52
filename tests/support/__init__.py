"""What tests of several areas share: a real Postgres, tokens, and running processes."""
