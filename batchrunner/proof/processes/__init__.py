"""The real program in real processes: killed, stopped, woken, and checked at the end."""
