"""HTTP: requests become typed values, one call into the domain follows, then an answer."""
