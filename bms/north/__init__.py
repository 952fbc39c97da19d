"""What the controller shows to people and other systems. Nothing here may hold up a tick."""
