"""Converters that charge and discharge the battery, one module or folder a protocol."""
