"""HTTP in front of the domain: OAuth at the origin's root, JSON under /api/v1, pages under /account."""
