"""Reviews over HTTP: a request is parsed, the domain is called once, its answer is shown."""
