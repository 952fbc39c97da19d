"""A long campaign of coverage-guided fuzzing beside the short one in ./test: arbitrary bytes into every decoder.

    python -m tests.fuzz.campaign [TARGET ...] [--seconds N] [--corpus DIR]

Needs atheris (`pip install atheris`, CPython on Linux), which is no dependency of the project: where it is absent this
says so and ends with status 0. Each target runs in a process of its own; an input that breaks one is written beside the
corpus, its path is shown, and the status is 1. `--replay TARGET FILE` runs one input again, without atheris.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

SKIPPED = "skipped: atheris is not installed (pip install atheris); nothing was fuzzed beyond what ./test does"
INPUT_BYTES_MAX = 2048
SECONDS = 600


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--one"]:
        return _fuzz(arguments[1], arguments[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.campaign", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("targets", metavar="TARGET", nargs="*", help="all unless given")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"for each target (default: {SECONDS})")
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"), help="kept from campaign to campaign")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"), help="one input again")
    given = parser.parse_args(arguments)
    from tests.fuzz.targets import TARGETS  # after the arguments: --help must not import the decoders

    unknown = [name for name in [*given.targets, *(given.replay or [])[:1]] if name not in TARGETS]
    if unknown:
        parser.error(f"no target {unknown[0]!r}, expected one of {', '.join(TARGETS)}")
    if given.replay:
        TARGETS[given.replay[0]](Path(given.replay[1]).read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        print(SKIPPED, file=sys.stderr)
        return 0
    broken = [name for name in given.targets or TARGETS if not _campaign(name, given.seconds, given.corpus / name)]
    print(f"broken: {', '.join(broken)}" if broken else "no target broke")
    return 1 if broken else 0


def _campaign(name: str, seconds: int, corpus: Path) -> bool:
    """Whether the target bore it; libFuzzer writes an input that broke it as crash-... beside the corpus."""
    from tests.fuzz.targets import SEEDS

    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS.get(name, ())):
        (corpus / f"seed-{number}").write_bytes(seed)
    print(f"{name}: {seconds} s, corpus {corpus}", flush=True)
    limits = [f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}", "-len_control=0"]
    command = [sys.executable, "-m", "tests.fuzz.campaign", "--one", name, *limits]
    command += [f"-artifact_prefix={corpus.parent}/{name}-", str(corpus)]
    return subprocess.run(command, check=False).returncode == 0


def _fuzz(name: str, arguments: list[str]) -> int:
    """In a process of its own: libFuzzer never returns."""
    import atheris

    with atheris.instrument_imports(include=["drivers", "hil_rigs.devices"]):
        from tests.fuzz.targets import TARGETS

    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
