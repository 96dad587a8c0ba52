"""Everything on one machine by one command: Postgres, each service's processes and the gateway, watched over."""
