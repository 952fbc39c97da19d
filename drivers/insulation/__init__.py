"""Insulation monitors of their own."""
