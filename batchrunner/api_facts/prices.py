"""How the TinyFish API bills: by the step, in dollars, at a price that the wallet shows."""

from __future__ import annotations

#: The currency of wallets; a wallet in another one is not used.
CURRENCY = "USD"
#: Words in a meter of the wallet that say that it is about steps of runs.
STEP_METER_WORDS = frozenset({"step", "steps"})
