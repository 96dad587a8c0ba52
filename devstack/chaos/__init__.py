"""A fault storm over a store of its own, and the ledger that tells whether anything was lost, doubled or oversold."""
