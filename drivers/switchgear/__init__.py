"""Switchgear between a site and its grid: intertie with sync-check, and the contactors of load blocks."""
