"""Contactors of racks that hang on a block of their own."""
