"""What at least two services need today and that knows nothing of books: the frame around every service.

The one exception is `common.events`, the language that the services speak with each other.
"""
