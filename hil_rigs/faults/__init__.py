"""Injected faults: what kinds there are, how a user writes one, where on a rig it may strike, and how it is done."""
