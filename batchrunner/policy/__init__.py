"""All decisions about what to do next, from values alone; pure."""
