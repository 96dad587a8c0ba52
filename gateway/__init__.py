"""The one public origin: routes a request to its service, verifies its token, and forwards it as a stream.

The gateway knows paths, not books: it holds no business rule and no data. It strips whatever a client could use to
pose as someone else, bounds sizes and times, and turns every failure of a service into problem+json.
"""
