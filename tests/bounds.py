"""Time limits that only a hang can reach, however busy the machine is."""

#: Seconds after which something has hung.
HUNG = 180.0
