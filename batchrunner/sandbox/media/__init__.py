"""The artifacts that the sandbox serves: screenshots, pages and recordings."""
