"""The rules of carts, orders and payments, on a Session; no HTTP."""
