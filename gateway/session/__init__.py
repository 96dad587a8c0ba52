"""Sessions of browsers (backend for frontend): the gateway is the OAuth client, and JavaScript sees no token.

A session is a sealed cookie and nothing else, so that any replica serves it. `cookies` and `sealing` keep it, `login`
begins it, `sessions` turns it into a bearer's token, `views` is what the portals ask.
"""
