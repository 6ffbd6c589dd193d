"""The picture of stacks is the benchmark's own table."""

from pathlib import Path
from runpy import run_path

ROOT = Path(__file__).parents[2]
PLOT = run_path(str(ROOT / "benchmarks/fused/plot.py"))

TABLES = """
| model | learned | K | Adam | stack | × | × fused |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| MLP | 2 410 | 8 | 223 | 105 | 2.13 | 1.56 |
| | | 32 | 223 | 48 | 4.66 | 3.35 |
| | | 128 in 11 | 223 | 48 | 4.70 | 3.40 |

| model | learned | K | Adam | stack | × | compiled | × | × fused |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| MLP | 2 410 | 64 | 388 | 64 | 6.05 | 42 | 9.29 | 7.09 |
"""


def test_the_picture_shows_the_whole_stacks_of_the_tables():
    found = [tuple(point) for point in PLOT["points"](TABLES)]

    assert found == [
        ("MLP", "2 410", "8", 2.13),
        ("MLP", "2 410", "32", 4.66),
        ("MLP", "2 410", "64 compiled", 9.29),
    ]


def test_the_picture_is_the_one_of_the_benchmarks_figures():
    made = PLOT["picture"](list(PLOT["points"](PLOT["TABLES"].read_text())))

    assert made == PLOT["PICTURE"].read_text(), "python benchmarks/fused/plot.py"
