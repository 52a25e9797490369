"""Everything the program knows about the TinyFish API."""
