"""The site file's north side: every mistake at once, each where it is."""

from pathlib import Path

import pytest

from bms.site.north import North
from drivers.config.config_yaml import ConfigErrors, parse_strict


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as errors:
        parse_strict(text, North, file="north.yaml", folder=Path("/"))
    return [problem.text for problem in errors.value.problems]


def test_clients_are_addresses_or_networks_and_all_mistakes_are_said_at_once() -> None:
    said = mistakes("modbus: {port: 0, clients: [10.0.0.0/33, 10.0.0.1/8]}\n")
    assert len(said) == 3
    assert "port" in said[0]
    assert "10.0.0.0/33" in said[1]
    assert "has host bits set" in said[2]


def test_secrets_and_certificates_must_be_there_and_ports_differ(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    said = mistakes(
        f"modbus: {{port: 502}}\nhttp: {{port: 502, token_file: {tmp_path}/empty}}\n"
        f"mqtt: {{host: b, topic: a/#, password_file: {tmp_path}/none, tls: {{authorities: /none, key: k}}}}\n"
    )
    text = "\n".join(said)
    for wrong in (
        "is empty", "cannot be read: No such file or directory", "missing beside password_file",
        "missing beside key", "same as of modbus", "without + and #",
    ):  # fmt: skip
        assert wrong in text


def test_a_north_side_that_serves_nothing_is_a_mistake() -> None:
    assert mistakes("{}\n") != []
