"""HTTP clients as the environment wants them: proxies, certificates, and what needs neither."""
