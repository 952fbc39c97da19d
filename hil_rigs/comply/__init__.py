"""Services judged by their own standards: `hil comply`."""
