"""Where the fields of the module's structures lie: what processors share, and what they don't."""
