"""The client of the TinyFish API: requests, streams, webhooks, and readers of its answers."""
