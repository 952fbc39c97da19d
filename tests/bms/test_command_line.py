"""What the commands say when a word of theirs is mistyped."""

import pytest

import bms.cli
import hil_rigs.cli


@pytest.mark.parametrize(
    ("main", "words", "says"),
    [
        (bms.cli.main, ["chek"], "argument COMMAND: invalid choice: 'chek', did you mean check? (choose from "),
        (bms.cli.main, ["profile", "chekc"], "argument WHAT: invalid choice: 'chekc', did you mean check? (choose "),
        (bms.cli.main, ["quite-another"], "argument COMMAND: invalid choice: 'quite-another' (choose from "),
        (hil_rigs.cli.main, ["scenario"], "invalid choice: 'scenario', did you mean scenarios? (choose from "),
    ],
)
def test_mistyped_command_names_the_one_that_was_meant(
    capsys: pytest.CaptureFixture[str], main: object, words: list[str], says: str
) -> None:
    assert callable(main)
    with pytest.raises(SystemExit, match=r"^2$"):
        main(words)
    assert says in capsys.readouterr().err
