"""The catalog service owns what the shop sells: books, their authors and genres, search, and the stock ledger.

It decides for every order whether its books can be set aside, and tells the other services what changed.
"""
