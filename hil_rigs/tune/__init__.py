"""Tuning: search an application's settings in virtual time, then hand out a fragment of a site file."""
