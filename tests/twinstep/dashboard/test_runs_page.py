"""The pages of backtests say what was kept, as it was kept, and a report can do nothing but draw itself."""

from __future__ import annotations

import json
import re
import zipfile
from html import unescape
from pathlib import Path

import pytest

from simulator.results import KeptRun, RunFolder, kept_runs
from simulator.results.kept_folder import HEAD, REPORT, RUN
from simulator.results.kept_pair import pair_of
from simulator.results.metrics import METRIC_DEFINITIONS, format_metric
from tests.twinstep.dashboard.conftest import Client
from tests.twinstep.dashboard.runs_folder import fill_runs
from twinstep.dashboard.charts.runs import both, drawdown, growth
from twinstep.dashboard.reading import runs as reading
from twinstep.dashboard.reading.runs import told_apart
from twinstep.dashboard.words import NARROW


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("runs") / "desk.db"
    fill_runs(where)
    return where


@pytest.fixture
def runs(journal: Path) -> tuple[KeptRun, ...]:
    """Return the runs, last kept first: the hostile one, fast 10, fast 5."""
    found = kept_runs(journal.with_name("runs"))
    assert len(found.runs) == 3
    return found.runs


def plain(body: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def shown(run: KeptRun, name: str) -> str:
    return typeset(format_metric(name, run.metric(name)))


def typeset(text: str) -> str:
    """Return a figure as the pages write it, for `plain`, to which a space is a space."""
    return text.replace("-", "−").replace("n/a", "–").replace("inf", "∞").replace("%", " %")


def ids_of(body: str) -> list[str]:
    return re.findall(r'name="a" value="([0-9a-f]{16})"', body)


def copied(journal: Path, fingerprint: str, **changes: object) -> Path:
    """Copy the hostile run under another name, with other words in its head."""
    folder = RunFolder(journal.with_name("runs"))
    path = folder.path(fingerprint[:16])
    with zipfile.ZipFile(folder.path("e" * 16)) as old, zipfile.ZipFile(path, "w") as new:
        head = json.loads(old.read(HEAD)) | {"fingerprint": fingerprint, **changes}
        new.writestr(HEAD, json.dumps(head))
        for name in (RUN, REPORT):
            new.writestr(name, old.read(name))
    return path


# The list


def test_the_list_says_of_each_run_what_it_is(client: Client, runs: tuple[KeptRun, ...]) -> None:
    body = client.ask("/runs").body
    assert ids_of(body) == [run.id for run in runs]
    text = plain(body)
    for run, fast, costs in zip(runs[1:], (10, 5), ("ibkr-fixed", "zero"), strict=True):
        low, high = run.sharpe_interval or (0.0, 0.0)
        row = (
            (
                f"sma-cross fast {fast} a note {shown(run, 'total_return')} {shown(run, 'sharpe')} "
                f"{low:.2f} to {high:.2f} {shown(run, 'max_drawdown')} {shown(run, 'trades')}"
            )
            .replace("-0.", "−0.")
            .replace("-1.", "−1.")
            .replace("-2.", "−2.")
        )
        assert row in text
        assert f"realistic costs {costs}" in text
        assert f"{run.text('first')} to {run.text('last')}" in text


@pytest.mark.parametrize(
    ("sort", "metric"),
    [("return", "total_return"), ("sharpe", "sharpe"), ("drawdown", "max_drawdown"), ("trades", "trades")],
)
def test_the_list_is_sorted_by_what_is_asked(
    client: Client, runs: tuple[KeptRun, ...], sort: str, metric: str
) -> None:
    value = {run.id: run.metric(metric) for run in runs}
    for order, back in (("down", True), ("up", False)):
        body = client.ask(f"/runs?sort={sort}&order={order}").body
        found = [value[one] for one in ids_of(body)]
        assert found == sorted(found, reverse=back)
        state = "descending" if back else "ascending"
        assert re.findall(r'aria-sort="(\w+)"><a href="([^"]*)"', body) == [
            (state, f"/runs?sort={sort}" + ("&amp;order=up" if back else ""))
        ]


def test_a_strategy_is_chosen_from_those_that_there_are(client: Client, runs: tuple[KeptRun, ...]) -> None:
    body = client.ask("/runs?strategy=sma-cross").body
    assert ids_of(body) == [run.id for run in runs[1:]]
    assert "2 of 3 runs" in plain(body)
    assert "No run of this strategy is kept" in client.ask("/runs?strategy=nobody").body


def test_the_two_last_are_chosen_to_be_compared(client: Client, runs: tuple[KeptRun, ...]) -> None:
    body = client.ask("/runs").body
    checked = re.findall(r'name="([ab])" value="([0-9a-f]{16})"[^>]* checked', body)
    assert sorted(checked) == [("a", runs[1].id), ("b", runs[0].id)]


def test_a_long_list_has_pages(
    client: Client, runs: tuple[KeptRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PER_PAGE", 2)
    first, second, beyond = (client.ask(f"/runs?page={number}").body for number in (1, 2, 99))
    assert ids_of(first) + ids_of(second) == [run.id for run in runs]
    assert ids_of(beyond) == ids_of(second)
    assert 'href="/runs?page=2"' in first
    assert 'href="/runs"' in second


def test_a_file_that_is_no_run_is_named(client: Client, journal: Path) -> None:
    path = journal.with_name("runs") / "0123456789abcdef.zip"
    path.write_text("x")
    try:
        body = client.ask("/runs").body
        assert "0123456789abcdef.zip is no kept run" in body
        assert len(ids_of(body)) == 3
        answer = client.ask("/runs/0123456789abcdef")
        assert (answer.status, "is no kept run" in answer.body) == (404, True)
    finally:
        path.unlink()


def test_without_a_run_the_page_says_how_to_get_one(tmp_path: Path) -> None:
    from twinstep.dashboard import Dashboard

    with Dashboard(tmp_path / "none.db") as served:
        answer = Client(served).log_in().ask("/runs")
    assert answer.status == 200
    assert "No run is kept yet" in answer.body


def test_what_is_not_known_comes_last_whichever_way(
    client: Client, journal: Path, runs: tuple[KeptRun, ...]
) -> None:
    path = copied(journal, "d" * 64, metrics={"trades": 0, "sharpe": None})
    try:
        for order in ("down", "up"):
            body = client.ask(f"/runs?sort=sharpe&order={order}").body
            assert len(ids_of(body)) == 4
            assert ids_of(body)[-1] == path.stem
    finally:
        path.unlink()


def test_a_run_is_told_from_others_of_its_strategy_by_what_differs(runs: tuple[KeptRun, ...]) -> None:
    assert told_apart(runs, runs[1:]) == {runs[1].id: "fast 10", runs[2].id: "fast 5"}
    assert told_apart(runs[1:2], runs[1:2]) == {runs[1].id: ""}


# One run


def test_a_run_shows_its_figures_settings_and_trades(client: Client, runs: tuple[KeptRun, ...]) -> None:
    run = runs[1]
    answer = client.ask(f"/runs/{run.id}")
    text = plain(answer.body)
    assert answer.status == 200
    for name in ("total_return", "cagr", "sortino", "win_rate", "profit_factor", "benchmark_return"):
        assert f"{METRIC_DEFINITIONS[name].label} {shown(run, name)}" in text
    assert "commission_per_share 0.005" in text
    assert "fast 10 slow 40" in text
    assert run.fingerprint in text
    assert f'href="/runs/{run.id}/report"' in answer.body
    assert f'href="/runs/{run.id}/report?download=true"' in answer.body
    others = re.findall(r'<option value="([0-9a-f]{16})"', answer.body)
    assert others == [runs[0].id, runs[2].id]


def test_the_curve_ends_at_the_total_return(client: Client, runs: tuple[KeptRun, ...], journal: Path) -> None:
    run = runs[1]
    body = client.ask(f"/runs/{run.id}").body
    end = f"{100 * run.metric('total_return'):+.2f}".replace("-", "−")
    assert f"ends at {end}" in body
    deepest = f"{100 * run.metric('max_drawdown'):.1f}\N{NO-BREAK SPACE}%".replace("-", "−")
    assert f"{deepest} at its deepest" in body
    whole = RunFolder(journal.with_name("runs")).open(run.id)
    for chart in (growth(whole), drawdown(whole), both(whole, whole)):
        assert chart is not None
        assert chart.drawing.count('class="grid"') == len(chart.up)
        assert chart.along[-1] == run.text("last")


# Two runs


def test_two_runs_stand_side_by_side(client: Client, runs: tuple[KeptRun, ...], journal: Path) -> None:
    a, b = runs[2], runs[1]
    folder = RunFolder(journal.with_name("runs"))
    pair = pair_of(folder.open(a.id), folder.open(b.id))
    body = client.ask(f"/runs/compare?a={a.id}&b={b.id}").body
    text = plain(body)
    assert "fast Strategy 5 10" in text
    assert "name Costs zero ibkr-fixed" in text
    for figure in pair.figures:
        words = f"{figure.label} {figure.a} {figure.b} {figure.difference}"
        assert typeset(words) in text
    assert shown(b, "total_return").replace(" ", NARROW) in body  # the sign stays with its figure
    assert (
        f"{pair.same} are the same, {len(pair.changed)} began together and went otherwise, "
        f"{len(pair.only_a)} are only in A, {len(pair.only_b)} only in B" in text
    )
    assert body.count('class="line first" d=') == body.count('class="line second" d=') == 1
    assert "ran over different data" not in body
    assert f'href="/runs/compare?a={b.id}&amp;b={a.id}"' in body


def test_runs_over_different_data_are_called_so(client: Client, runs: tuple[KeptRun, ...]) -> None:
    body = client.ask(f"/runs/compare?a={runs[0].id}&b={runs[1].id}").body
    assert "ran over different data" in body


def test_a_run_is_not_compared_with_itself_or_nobody(client: Client, runs: tuple[KeptRun, ...]) -> None:
    same = client.ask(f"/runs/compare?a={runs[0].id}&b={runs[0].id}")
    assert (same.status, "are the same run" in same.body) == (200, True)
    nobody = client.ask(f"/runs/compare?a={runs[0].id}&b={'0' * 16}")
    assert (nobody.status, "no kept run" in nobody.body) == (404, True)


@pytest.mark.parametrize(
    "path",
    [
        "/runs?sort=luck", "/runs?order=", "/runs?page=0", "/runs?page=x", f"/runs?strategy={'x' * 300}",
        "/runs/compare", "/runs/compare?a=1&b=2", "/runs/compare?a=../../x&b=2", "/runs/ABCDEF0123456789",
        "/runs/0123", "/runs/0123456789abcdef0", f"/runs/{'0' * 16}/report?download=maybe",
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(client: Client, path: str) -> None:
    assert client.ask(path).status == 422


@pytest.mark.parametrize("path", ["/runs/0000000000000000", "/runs/0000000000000000/report"])
def test_a_run_that_is_not_there_is_not_found(client: Client, path: str) -> None:
    assert client.ask(path).status == 404


def test_a_name_that_is_a_script_is_text_everywhere(client: Client, runs: tuple[KeptRun, ...]) -> None:
    hostile = runs[0].id
    for path in (
        "/runs",
        f"/runs/{hostile}",
        f"/runs/{runs[1].id}",
        f"/runs/compare?a={hostile}&b={runs[1].id}",
    ):
        body = client.ask(path).body
        assert "<script>document" not in body, path
        assert "<img" not in body, path
        assert "&lt;script&gt;document" in body, path


# The report


def test_a_report_is_served_as_it_was_kept(client: Client, runs: tuple[KeptRun, ...], journal: Path) -> None:
    page = RunFolder(journal.with_name("runs")).report(runs[1].id)
    answer = client.ask(f"/runs/{runs[1].id}/report")
    assert (answer.status, answer.body) == (200, page)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    saved = client.ask(f"/runs/{runs[1].id}/report?download=true")
    assert saved.body == page
    assert saved.headers["content-disposition"] == f'attachment; filename="backtest-{runs[1].id}.html"'


def test_a_report_gets_nobodys_origin_and_its_own_script_alone(
    client: Client, runs: tuple[KeptRun, ...]
) -> None:
    for run in runs:
        headers = client.ask(f"/runs/{run.id}/report").headers
        policy = [part.strip().split(" ") for part in headers["content-security-policy"].split(";")]
        rules = {part[0]: part[1:] for part in policy}
        assert len(rules) == len(policy)
        assert rules["sandbox"] == ["allow-scripts"]
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
        assert rules["frame-ancestors"] == ["'none'"]
        assert rules["script-src"] == [f"'sha256-{one}'" for one in run.scripts]
        assert rules["img-src"] == ["data:"]
        assert set(rules) == {
            "sandbox", "default-src", "style-src", "img-src", "base-uri", "form-action", "frame-ancestors",
            "script-src",
        }  # fmt: skip
        for name, value in {
            "x-content-type-options": "nosniff", "x-frame-options": "DENY", "cache-control": "no-store",
            "referrer-policy": "no-referrer", "cross-origin-resource-policy": "same-origin",
        }.items():  # fmt: skip
            assert headers[name] == value


def test_every_other_page_keeps_the_policy_of_the_dashboard(
    client: Client, runs: tuple[KeptRun, ...]
) -> None:
    paths = ("/runs", f"/runs/{runs[0].id}", f"/runs/compare?a={runs[0].id}&b={runs[1].id}")
    for path in (*paths, f"/runs/{'0' * 16}/report"):
        policy = client.ask(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'self'")
        assert "unsafe" not in policy
        assert "script-src" not in policy


def test_a_report_without_known_scripts_runs_none(client: Client, journal: Path) -> None:
    path = copied(journal, "d" * 64, scripts=[])
    try:
        answer = client.ask(f"/runs/{path.stem}/report")
        assert answer.headers["content-security-policy"].endswith("script-src 'none'")
        assert "kept without a report" in client.ask(f"/runs/{path.stem}").body
    finally:
        path.unlink()
