"""Reading CSV files: what is accepted, and what each error says."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgrad.data import Table, read_table
from fastgrad.data.table import parse_number

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(str.strip)


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes content to a file and returns the file's path."""

    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "table.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_reads_each_dialect(write, delimiter, newline, encoding):
    rows = [["name", "size"], ["Zoë", "1.5"], ["Bob", " 2 "]]
    table = read_table(write(newline.join(map(delimiter.join, rows)).encode(encoding)))
    assert table.columns == {"name": ["Zoë", "Bob"], "size": ["1.5", "2"]}
    assert table.names == ["name", "size"]
    assert len(table) == 2


def test_line_numbers_count_blank_lines_and_line_breaks_in_cells(write):
    table = read_table(write('a,b\n1,2\n\n"x\ny",3\n4,5\n'))
    assert table.lines == [2, 4, 6]
    assert table.columns["a"] == ["1", "x\ny", "4"]


def test_other_delimiters_inside_cells_do_not_mislead(write):
    table = read_table(write('"a, b, c, d";e\n"1,2,3";4\n"5,6";7\n'))
    assert table.columns == {"a, b, c, d": ["1,2,3", "5,6"], "e": ["4", "7"]}


def test_a_single_column_needs_no_delimiter(write):
    assert read_table(write("a\n1\n2\n")).columns == {"a": ["1", "2"]}


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8))
def test_whatever_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("left", "right"), *rows])
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_bytes(text.getvalue().encode())
    table = read_table(path)
    assert list(zip(*table.columns.values(), strict=True)) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b\n", "has a header but no rows"),
        ("a,b,a,b,c\n1,2,3,4,5\n", "repeats the column name 'a', 'b'"),
        ("a,,\n1,2,3\n", "leaves column 2, 3 without a name"),
        ("1,2.5\n3,4\n", "the first line holds only numbers.*: 1, 2.5"),
        ("a,b\n1\n1,2\n1,2,3\n", "2 of 3 rows do not have the header's 2 cells: line 2 has 1, li"),
        ('a,b\n1,2\n"1"x,2\n', "the row on line 3 is not valid CSV"),
        ('a,b\n1,"2\n3,4\n', "the row on line 2 is not valid CSV"),
        (b"a,b\n\xff,2\n", "not UTF-8 text: byte 0xff at offset 4"),
        ("a,b\n1,2\0\n", "not a text file: it contains NUL bytes"),
    ],
)
def test_malformed_files_are_refused(write, content, message):
    with pytest.raises(ValueError, match=rf"table\.csv: .*{message}"):
        read_table(write(content))


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")


def test_a_folder_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_table(tmp_path)


def test_missing_cells_are_counted_and_the_first_ten_listed(write):
    table = read_table(write("a,b\n" + "1,\nNA,?\n" * 4 + "nan,NULL\n"))
    with pytest.raises(ValueError, match="14 missing values") as caught:
        table.check_complete()
    assert "line 2 column 'b', line 3 column 'a', line 3 column 'b', line 4" in str(caught.value)
    assert str(caught.value).endswith("line 8 column 'b' and 4 more")


def test_only_the_columns_asked_for_must_be_complete():
    table = Table("t.csv", {"a": ["1"], "b": [""]}, [2])
    table.check_complete(["a"])
    with pytest.raises(ValueError, match=r"1 missing value \(.*line 2 column 'b'"):
        table.check_complete(["b"])


def test_an_absent_column_is_named_beside_those_there():
    table = Table("t.csv", {"a": ["1"], "b": ["2"]}, [2])
    with pytest.raises(ValueError, match="no column 'c', 'd'; the columns are 'a', 'b'"):
        table.check_columns(["a", "c", "d"])
    with pytest.raises(ValueError, match="no column 'c'"):
        table.column("c")


@pytest.mark.parametrize(
    ("cell", "number"), [("1", 1), ("-2.5e3", -2500), ("1_000", None), ("x", None), ("", None)]
)
def test_parse_number(cell, number):
    assert parse_number(cell) == number
