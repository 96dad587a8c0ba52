"""The review service owns what buyers say of books: reviews, votes on them, and the ratings that they add up to.

It knows from the orders' events who has bought what, and tells the catalog how a book is rated.
"""
