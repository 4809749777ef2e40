"""One function per state of an attempt; each may run twice. ``machine`` walks them."""
