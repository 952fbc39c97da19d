"""A record played to today's controller: what it decides now on the readings of then."""
