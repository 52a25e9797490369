"""Facts about the TinyFish API as data: its options, limits, prices, error codes and endpoints."""
