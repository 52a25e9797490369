"""Quality: whether the rows of a batch are usable, in one word with reasons; pure."""
