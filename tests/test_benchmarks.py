"""The benchmark harness: that it measures, compares and reports; nothing here depends on a time."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.clients.replay import Talk, transact
from benchmarks.figures import BEST_PEER, judge, ratio, typical
from benchmarks.model import BenchmarkError, MissingPeer, Outcome, Place, Row, Sample, Scale, Target
from benchmarks.rows import ROWS
from benchmarks.runner import measure
from benchmarks.servers.launch import launch

ROOT = Path(__file__).parents[1]


def samples(*values, cpu=None):
    return [None if value is None else Sample(value, cpu) for value in values]


class Scripted:
    """A measure whose samples are given; an exception among them is raised."""

    def __init__(self, **script):
        self.script = script
        self.order = []

    @property
    def contenders(self):
        return tuple(self.script)

    @contextmanager
    def prepare(self, contender, scale, place):
        if isinstance(self.script[contender], MissingPeer):
            raise self.script[contender]
        values = iter(self.script[contender])

        def take():
            self.order.append(contender)
            value = next(values)
            if isinstance(value, Exception):
                raise value
            return Sample(value)

        yield take


def row(measure=None, **options):
    return Row("key", "The title", "messages/s", measure or Scripted(ours=[]), **options)


def measured(script, rounds, tmp_path, **options):
    return measure(row(script, **options), rounds=rounds, scale=Scale(), place=Place(tmp_path))


class TestFigures:
    def test_a_ratio_is_taken_in_each_round(self):
        # By the medians it would be 20/10.
        assert ratio(samples(10, 20, 90), samples(10, 5, 30)) == 3

    def test_a_round_that_one_sat_out_does_not_count(self):
        assert ratio(samples(10, 20, 30), samples(5, None, 10)) == 2.5
        assert typical(samples(None, 4, 6)) == 5

    def test_no_figure_is_none_and_not_zero(self):
        assert typical([]) is None
        assert ratio(samples(1), []) is None
        assert ratio(samples(1), samples(1), "cpu") is None

    @pytest.mark.parametrize(
        ("target", "met"),
        [
            (Target("aiosmtpd", at_least=2), True),
            (Target("aiosmtpd", at_least=2.5), False),
            (Target(None, at_most=10), True),
            (Target(None, at_most=9), False),
            (Target("aiosmtpd", at_most=1, figure="cpu"), False),
            (Target("smtp-sink", at_least=1), None),
        ],
    )
    def test_a_target_is_met_missed_or_not_measured(self, target, met):
        outcome = Outcome(
            row(), {"ours": samples(10, cpu=6), "aiosmtpd": samples(5, cpu=3)}, {"smtp-sink": "?"}
        )
        assert judge(outcome, target, ()).met is met

    @pytest.mark.parametrize(("more", "best"), [(True, 4.0), (False, 2.0)])
    def test_the_best_peer_is_the_fastest_or_the_cheapest(self, more, best):
        outcome = Outcome(
            row(more_is_better=more),
            {"ours": samples(1), "a": samples(2), "b": samples(4), "floor": samples(9)},
        )
        verdict = judge(outcome, Target(BEST_PEER, at_least=1), ("a", "b", "absent"))
        assert verdict.reached == 1 / best


class TestRunner:
    def test_each_round_measures_all_in_another_order(self, tmp_path):
        script = Scripted(ours=[1, 2], a=[3, 4], b=[5, 6])
        outcome = measured(script, 2, tmp_path)
        assert script.order == ["ours", "a", "b", "a", "b", "ours"]
        assert [s.value for s in outcome.samples["ours"]] == [1, 2]

    def test_who_is_missing_is_told_and_the_others_are_measured(self, tmp_path):
        script = Scripted(ours=[1], a=MissingPeer("a is not installed"))
        outcome = measured(script, 1, tmp_path)
        assert outcome.missing == {"a": "a is not installed"}
        assert len(outcome.samples["ours"]) == 1
        assert "missing: a is not installed" in report.terminal(outcome)

    def test_who_loses_mail_drops_out_and_the_row_says_so(self, tmp_path):
        script = Scripted(ours=[1, 2], a=[1, BenchmarkError("a holds 1 message of 2")])
        outcome = measured(script, 2, tmp_path)
        assert outcome.failed == {"a": "a holds 1 message of 2"}
        assert "failed: a holds 1 message of 2" in report.terminal(outcome)

    def test_a_long_row_has_fewer_rounds(self, tmp_path):
        outcome = measured(Scripted(ours=[1, 2, 3]), 3, tmp_path, most_rounds=2)
        assert len(outcome.samples["ours"]) == 2


def test_the_table_shows_target_and_reached_side_by_side():
    script = Scripted(ours=[], aiosmtpd=[])
    outcome = Outcome(
        row(script, more_is_better=True, targets=(Target("aiosmtpd", at_least=2),)),
        {"ours": samples(10, 10, 10), "aiosmtpd": samples(8, 8, 8)},
    )
    about = {"date": "", "rounds": 3, "quick": False, "versions": {}}
    about["machine"] = dict.fromkeys(
        ("system", "architecture", "processor", "cores", "python", "openssl"), ""
    )
    text = report.markdown([outcome], about)
    assert "| The title | ≥ 2 × aiosmtpd | 1.25 ×, **missed** |" in text
    assert "| aiosmtpd | 8 | 0% | 1.25 | 3 |" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (1 / 3, "0.333"),
        (12.345, "12.3"),
        (300, "300"),
        (12345.6, "12,346"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert report.number(value) == text


@pytest.fixture(scope="module")
def floor(tmp_path_factory):
    with launch("floor", Scale(), Place(tmp_path_factory.mktemp("floor"))) as running:
        yield running


MAIL = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 4096])
@pytest.mark.parametrize(
    ("wire", "kept"),
    [
        (
            b"DATA\r\nA: b\r\n\r\n..\r\n.\n.\r\nx.\r\n\r\n.\r\n",
            b"A: b\r\n\r\n..\r\n.\n.\r\nx.\r\n\r\n",
        ),
        (b"DATA\r\n.\r\n", b""),
        (b"BDAT 3\r\nx\r\nBDAT 4 LAST\r\n.\r\ny", b"x\r\n.\r\ny"),
        (b"BDAT 3\r\nx\r\nBDAT 0 LAST\r\n", b"x\r\n"),
    ],
    ids=["dots", "empty", "chunks", "no last chunk"],
)
def test_the_floor_finds_the_end_of_a_message_wherever_reads_split_it(floor, wire, kept, step):
    floor.clear()
    sent = b"EHLO me.example\r\n" + (MAIL + wire) * 2 + b"QUIT\r\n"
    with socket.create_connection(("127.0.0.1", floor.port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(sent), step):
            client.sendall(sent[at : at + step])
        while client.recv(4096):
            pass
    floor.expect(2, least=len(kept), most=len(kept))
    assert floor.child.ask("sizes")["sha256"] == hashlib.sha256(kept).hexdigest()


@pytest.mark.parametrize("wrong", [{"count": 2}, {"least": 6}, {"most": 4}, {"sha256": "0"}])
def test_a_server_that_holds_something_else_than_was_sent_is_an_error(tmp_path, wrong):
    with launch("ours", Scale(), Place(tmp_path)) as running:
        talk = Talk(running.port)
        talk.send(b"EHLO me.example\r\n", b"250")
        transact(talk, b"one\r\n.\r\n", bdat=False)
        talk.close()
        sha256 = hashlib.sha256(b"one\r\n").hexdigest()
        right = {"count": 1, "least": 5, "most": 5, "sha256": sha256}
        running.expect(**right)
        with pytest.raises(BenchmarkError, match="ours holds"):
            running.expect(**right | wrong)


def benchmarks(*args):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *args],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=300,
        check=False,
    )


def test_rows_have_names_of_their_own_and_are_listed():
    keys = [row.key for row in ROWS]
    assert len(set(keys)) == len(keys)
    assert [line.split()[0] for line in benchmarks("--list").stdout.splitlines()] == keys


def test_an_unknown_row_is_refused():
    done = benchmarks("--only", "nothing")
    assert done.returncode == 2
    assert "no row 'nothing'" in done.stderr


def test_a_smoke_run_measures_ours_and_whoever_is_there(tmp_path):
    rows = [
        "1k-10-kept",
        "20m-dots",
        "bdat-1k",
        "idle",
        "peak-50m",
        "growth",
        "import",
        "starttls-new",
    ]
    done = benchmarks("--quick", "--output", str(tmp_path), "--only", *rows)
    assert done.returncode == 0, done.stdout + done.stderr

    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    found = {row["key"]: row for row in results["rows"]}
    assert set(found) == set(rows)
    text = (tmp_path / "results.md").read_text("utf-8")
    for row in found.values():
        assert not row["failed"]
        assert row["title"] in text and row["title"] in done.stdout
        if "ours" in row["missing"]:
            assert row["missing"]["ours"] in done.stdout
        else:
            assert len(row["samples"]["ours"]) == 1
            assert row["medians"]["ours"]["value"] > 0
    # What needs nothing but Python is measured anywhere.
    for key in ("20m-dots", "bdat-1k", "idle", "growth"):
        assert found[key]["samples"]["ours"], key
        assert found[key]["samples"].get("floor") or key == "growth"

    assert results["quick"] is True
    assert results["versions"]["pytest"] == pytest.__version__
    for written in (text, json.dumps(results)):
        assert str(ROOT) not in written and str(tmp_path) not in written
