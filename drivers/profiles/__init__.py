"""Modbus devices as data: the shipped profiles stand here as YAML files, any other is given by its path."""

from pathlib import Path

from drivers.config.shipped import find, shipped
from drivers.profiles.profile import Profile

__all__ = ["Profile", "find_profile", "shipped_profiles"]

FOLDER = Path(__file__).parent


def find_profile(name_or_path: str) -> Profile:
    """A shipped profile or a file. UnknownNameError, or ConfigErrors with every mistake in it."""
    return find(FOLDER, name_or_path, Profile)


def shipped_profiles() -> list[Profile]:
    """All shipped profiles, by name; raises if one of them is broken."""
    return shipped(FOLDER, Profile)
