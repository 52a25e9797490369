"""HTTP clients with the proxies and the certificates that the environment names."""
