"""How much energy balancing wastes, ours beside the usual kind."""
