"""What follows a page word for word can fail: another word, another number, another exit code, no answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.walkthrough import blocks_of, follow, matches

PAGE = """
Write `hello.py`:

```python
print("R-0123456789abcdef waits", 2.5)
```

```python
print("no file")
```

```console
$ mkdir inside
$ cd inside
```

Then `inside.py`, which waits for a second:

```python
print("hello", flush=True)
input_file = __import__("pathlib").Path("go")
while not input_file.exists():
    __import__("time").sleep(0.01)
print("went on", flush=True)
__import__("time").sleep(60)
```

```console
$ python3 ../hello.py
R-ffffffffffffffff waits 2.5
$ echo R-ffffffffffffffff
R-ffffffffffffffff
```

```console second
$ cd inside
$ python3 inside.py
hello
```

```console
$ touch go
$ ls
go
inside.py
```

```console second
went on
```

```console second
^C
…
```
"""


def walked(page: str, tmp_path: Path, seconds: float = 20.0) -> list[str]:
    (tmp_path / "work").mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return [
        command for command, _ in follow(blocks_of(page), tmp_path / "work", environment, seconds=seconds)
    ]


def test_files_terminals_requests_and_keys(tmp_path: Path) -> None:
    typed = walked(PAGE, tmp_path)
    assert typed[0] == "mkdir inside"
    assert typed[3] == "echo R-0123456789abcdef"
    assert typed[-1] == "^C"
    assert not (tmp_path / "work" / "no file").exists()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("waits 2.5", "waits 2.6"),
        ("$ touch go", "$ touch go; false"),
        ("\nwent on\n```", "\nwent away\n```"),
        ("go\ninside.py", "inside.py"),
        ("\nhello\n```", "\nhallo\n```"),
    ],
)
def test_another_word_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    assert right in PAGE
    with pytest.raises(AssertionError, match="the page shows"):
        walked(PAGE.replace(right, wrong), tmp_path, seconds=1.5)


@pytest.mark.parametrize(
    ("shown", "came", "same"),
    [
        (["a", "…", "z"], "a\nb\n\nc\nz\n", True),
        (["a", "…", "z"], "a\nz\n", True),
        (["a", "z"], "a\nb\nz\n", False),
        (["in …/file: 3"], "in /tmp/x/file: 3\n", True),
        (["in …/file: 3"], "in /tmp/x/file: 4\n", False),
        (["engine a57c5ec58e554544"], "engine 0123456789abcdef   \n", True),
        (["engine a57c5ec58e55"], "engine elsewhere\n", False),
        ([], "a warning\n", False),
        (["R-0123456789abcdef", "R-0123456789abcdef"], "R-aaaaaaaaaaaaaaaa\nR-bbbbbbbbbbbbbbbb\n", False),
    ],
)
def test_what_counts_as_the_same(shown: list[str], came: str, same: bool) -> None:
    assert matches(shown, came) is same
