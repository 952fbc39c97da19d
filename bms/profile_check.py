"""`bms profile check`: a device described as data, validated and shown as the driver will use it."""

import json
import sys
from pathlib import Path

from drivers.config.config_yaml import ConfigErrors, load_strict
from drivers.profiles import Profile
from drivers.profiles.codec import Block
from drivers.profiles.parts import Listens, Reverts
from drivers.profiles.reader import read_plans

KEEPS_ON = "WARNING: in silence it keeps its last set-point for ever; a dead controller does not stop it"


def check_profile(path: Path, *, as_json: bool) -> int:
    """Exit status 0, or 2 with every mistake on a line of its own."""
    try:
        profile = load_strict(path, Profile)
    except ConfigErrors as errors:
        if as_json:
            print(json.dumps({"ok": False, "errors": str(errors).splitlines(), "warnings": []}))
        else:
            print(errors, file=sys.stderr)
        return 2
    warnings = [KEEPS_ON] if profile.kind == "inverter" and not profile.reverts else []
    if as_json:
        print(json.dumps({"ok": True, "errors": [], "warnings": warnings}))
        return 0
    print(f"{path}: fine ({profile.kind} {profile.name}: {len(profile.registers)} registers)")
    for what, blocks in read_plans(profile).items():
        print(f"  {what}: {', '.join(map(_words, blocks)) or 'nothing to read'}")
    for line in [*_silence(profile), *warnings]:
        print(f"  {line}")
    return 0


def _words(block: Block) -> str:
    return f"function {block.function} {block.address}..{block.end - 1}"


def _silence(profile: Profile) -> list[str]:
    if profile.kind == "contactors":
        by = f"after {profile.silence.time_s:g} s" if isinstance(profile.silence, Listens) else "by its own watchdog"
        return [f"in silence: all outputs open {by}"]
    if isinstance(profile.silence, Reverts):
        return ["in silence: 0 W after the time that is written to it"]
    if isinstance(profile.silence, Listens):
        return [f"in silence: 0 W {profile.silence.time_s:g} s after the last heartbeat"]
    return []
