"""Owns carts, orders and their way to the customer, payments and refunds; keeps a replica of books to price them."""
