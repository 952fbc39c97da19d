"""The battery controller that is deployed on a site's gateway (command: bms)."""
