"""Settings files of every kind (sites, rigs, devices): strict YAML, and all mistakes at once with their places."""
