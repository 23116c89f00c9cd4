from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from penstock.cli.report_text import MAX_ROWS, lines
from penstock.store.queries.reporting import Report
from tests.cli.reports import a_report, a_week
from tests.core.accounting.courses import NOW

ALL = ("model", "key", "workload")


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return a_report(tmp_path_factory.mktemp("week"), a_week())


def printed(report: Report, width: int = 120, by: tuple[str, ...] = ALL) -> list[str]:
    return [line for _, line in lines(report, by, width)]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_room_there_is(week: Report, width: int) -> None:
    assert max(map(cell_len, printed(week, width)[1:])) <= width


def test_with_more_room_there_are_fewer_tables(week: Report) -> None:
    heads = [sum(line.startswith("MODEL") for line in printed(week, width)) for width in (60, 80, 120, 250)]
    assert heads == sorted(heads, reverse=True)
    assert heads[-1] == 1


def test_numbers_stand_below_each_other_also_beside_wide_letters(week: Report) -> None:
    table = [line for line in printed(week, 250, ("model",)) if line][8:]
    assert len({cell_len(line) for line in table}) == 1


def test_names_cannot_act_on_the_terminal(week: Report) -> None:
    assert all(line.isprintable() for line in printed(week))
    assert any("[31mred" in line for line in printed(week))


def test_only_the_tables_that_are_asked_for(week: Report) -> None:
    heads = {line.split()[0] for line in printed(week, by=("key",)) if line.isupper()}
    assert heads == {"KEY"}


def test_a_long_list_says_how_much_is_left_out(tmp_path: Path) -> None:
    many = [each._replace(key=f"key-{number}") for number, each in enumerate(a_week()[:100])]
    assert f"and {100 - MAX_ROWS} more: --json has all of them" in printed(a_report(tmp_path, many), by=("key",))


def test_an_empty_store_is_told_kindly_and_shortly(tmp_path: Path) -> None:
    said = printed(a_report(tmp_path, []))
    assert len(said) == 3
    assert "Ask a model something" in said[2]
    assert str(NOW) not in said[0]
