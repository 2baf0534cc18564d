"""What the README says is so."""

from __future__ import annotations

import re

import pytest

from anpr.cli import main
from anpr.record import result_record
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_the_table_of_settings_is_the_one_that_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["config", "--format", "markdown"])
    table = capsys.readouterr().out.strip()
    found = re.search(r"<!-- settings: .*? -->\n(.*?)\n?<!-- /settings -->", README, re.DOTALL)
    assert found is not None
    assert found[1].strip() == table, "run: make readme"


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^):]+)\)", README))))
def test_every_file_that_is_linked_is_there(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)))
)
def test_every_make_target_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_example_answer_has_the_members_of_a_real_one() -> None:
    from anpr import Recognizer
    from anpr.types import Box
    from tests.fakes import FixedDetector, FixedReader
    from tests.scenes import car_photo

    result = Recognizer(detector=FixedDetector(Box(9, 9, 60, 30)), reader=FixedReader()).read(
        car_photo()
    )
    record = result_record(result)
    for member in (*record, *record["plates"][0], *record["memory_mib"], *record["timings_ms"]):
        assert f'"{member}"' in README
