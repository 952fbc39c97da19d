"""Many units as one battery: each a converter with a battery and a management of its own."""
