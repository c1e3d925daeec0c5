"""Weights that are read from a Hub on loopback while they are worked on, whatever the server does."""

from __future__ import annotations

import hashlib
import json
import threading
from io import BytesIO
from itertools import count

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from safetensors.numpy import save

from quantize_cli import quantize
from quantize_cli.checkpoints import remote
from quantize_cli.checkpoints import stream as module
from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.files import Located
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.checkpoints.stream_groups import GAP_BYTES, GROUP_BYTES, SMALL_BYTES, Group, groups_of
from quantize_cli.checkpoints.stream_ranges import MAX_FAILURES, MAX_WAIT, Ranges
from quantize_cli.checkpoints.stream_waits import LONGEST, Waits
from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.observer import Observer
from quantize_cli.run import progress, reading_ahead

from .hub_server import Fault, Hub, Refusal, Repo
from .loopback import led_to, own_session

ROWS, COLUMNS = 512, 256
WEIGHTS = np.random.default_rng(0).standard_normal((ROWS, COLUMNS), np.float32)
NBYTES = WEIGHTS.nbytes
FILES = {"config.json": b"{}", "model.safetensors": save({"a": WEIGHTS})}
START = len(FILES["model.safetensors"]) - NBYTES  #: of the weights in the file


class Clock:
    """A clock that only waits move, and `step` at each look."""

    def __init__(self, step=0.0):
        self.now = 1000.0
        self.step = step
        self.waits = []

    def __call__(self):
        self.now += self.step
        return self.now

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture(scope="module", autouse=True)
def _session():
    with own_session():
        yield


@pytest.fixture
def hub(server, tmp_path):
    with led_to(server, tmp_path / "cache"):
        yield server.hub


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(remote, "WAITS", Waits(clock, clock.wait))
    monkeypatch.setattr(
        module, "Ranges", lambda model, commit, files: Ranges(model, commit, files, Waits(clock, clock.wait))
    )
    return clock


@pytest.fixture
def opened(hub: Hub, clock):
    """A model of one tensor, its repository, and a function that reads some of its rows."""
    repo = hub.repos["org/model"] = Repo(dict(FILES))
    checkpoint = open_checkpoint("org/model", stream=True)
    hub.requests.clear()

    def read(start=0, stop=ROWS):
        return checkpoint.read_bytes("a", start, stop).view(np.float32)

    yield checkpoint, repo, read
    checkpoint.close()


def asked(hub):
    """The ranges that were asked for where the file is, in their order."""
    return [request.part for request in hub.requests if request.path.startswith("/cdn/")]


def test_rows_are_one_request_and_the_address_is_asked_for_once(hub, opened, tmp_path):
    checkpoint, _, read = opened
    assert (checkpoint.missing, checkpoint.stream.received()) == ({}, 0)
    checkpoint.fetch(Observer())
    np.testing.assert_array_equal(read(3, 7), WEIGHTS[3:7])
    np.testing.assert_array_equal(read(), WEIGHTS)
    row = 4 * COLUMNS
    assert asked(hub) == [(START + 3 * row, START + 7 * row), (START, START + NBYTES)]
    assert [request.method for request in hub.requests] == ["HEAD", "GET", "GET"]
    assert checkpoint.stream.received() == 4 * row + NBYTES
    assert checkpoint.stream.received() == 0
    assert [path.name for path in (tmp_path / "cache").rglob("*.safetensors")] == []


#: What is wrong with answers that come one after the other, and the waits that they cost.
PASSING = {
    "dropped": ([Fault(sent=0.5)], [0.5]),
    "dropped-at-once": ([Fault(sent=0)] * 3, [0.5, 1, 2]),
    "progress-starts-anew": ([Fault(sent=0), Fault(sent=0), Fault(sent=0.5), Fault(sent=0)], [0.5, 1, 0.5, 1]),
    "cut-short": ([Fault(extra=-100_000)], [0.5]),
    "cut-short-with-length": ([Fault(headers={"Content-Length": str(NBYTES)}, extra=-1)], [0.5]),
    "too-long-once": ([Fault(extra=10)], [0.5]),
    "server-error": ([Fault(500), Fault(502), Fault(503)], [0.5, 1, 2]),
    "limited": ([Fault(429, {"Retry-After": "20"})], [21]),
    "limited-by-the-hub": ([Fault(429, {"RateLimit": '"resolvers";r=0;t=55'})], [56]),
    "limited-without-a-word": ([Fault(429), Fault(429, {"Retry-After": "soon"})], [0.5, 1]),
    "expired-address": ([Fault(403)], [0.5]),
    "no-such-range-once": ([Fault(416)], [0.5]),
    "other-range-once": ([Fault(headers={"Content-Range": f"bytes 0-{NBYTES - 1}/{START + NBYTES}"})], [0.5]),
    "compressed-once": ([Fault(headers={"Content-Encoding": "gzip"})], [0.5]),
}


@pytest.mark.parametrize(("faults", "waits"), PASSING.values(), ids=PASSING)
def test_what_passes_is_waited_out(opened, clock, faults, waits):
    _, repo, read = opened
    repo.faults += faults
    np.testing.assert_array_equal(read(), WEIGHTS)
    assert (repo.faults, clock.waits) == ([], waits)


def test_a_wait_that_the_server_asks_for_is_told_once(opened):
    checkpoint, repo, read = opened
    repo.faults += [Fault(429, {"Retry-After": "20"})]
    read()
    assert checkpoint.stream.sentences() == ["The server of org/model asks to wait 21 s."]
    assert checkpoint.stream.sentences() == []
    waits = Waits(Clock())
    assert [waits.hold(5), waits.hold(5), waits.hold(3)] == [True, False, False]


def test_what_has_come_is_not_asked_for_again(hub, opened):
    _, repo, read = opened
    repo.faults += [Fault(sent=0.5)]
    read()
    (first, _), (second, end) = asked(hub)
    assert (first, end) == (START, START + NBYTES)
    assert START + NBYTES // 4 <= second <= START + NBYTES // 2
    assert sum(request.method == "HEAD" for request in hub.requests) == 1


def test_an_address_that_brings_nothing_is_asked_for_anew(hub, opened):
    _, repo, read = opened
    repo.faults += [Fault(403)]
    read()
    assert [request.method for request in hub.requests] == ["HEAD", "GET", "HEAD", "GET"]


def test_a_slow_answer_is_cut_and_goes_on(opened, clock):
    """Each look at the clock is 31 s later: a second piece would be too late."""
    _, _, read = opened
    clock.step = 31.0
    np.testing.assert_array_equal(read(), WEIGHTS)
    assert len(clock.waits) == NBYTES // (1 << 18) - 1


#: Answers, how often they are given, and what the sentence must contain.
LASTING = {
    "down": (Fault(503), MAX_FAILURES, f"in {MAX_FAILURES} attempts (the last: HTTP 503); try again later"),
    "dropping": (Fault(sent=0), MAX_FAILURES, f"in {MAX_FAILURES} attempts (the last: "),
    "drops": (Fault(sent=0.0001), MAX_FAILURES, f"in {MAX_FAILURES} attempts (the last: "),
    "refusing": (Fault(403), 2, "in 2 attempts (the last: HTTP 403)"),
    "no-such-range": (Fault(416), 2, "in 2 attempts (the last: HTTP 416)"),
    "too-long": (Fault(extra=10), 1, "it sends more than it was asked for"),
    "wrong-range": (Fault(headers={"Content-Range": "bytes 0-9/{size}"}), 2, "it sends other bytes than"),
    "no-range": (Fault(headers={"Content-Range": "bytes"}), 2, "it sends other bytes than"),
    "long-wait": (Fault(429, {"Retry-After": "3600"}), 1, "asks to wait 3,600 s; try again later, or set HF_TOKEN"),
    "whole-file": (Fault(200), 1, "model.safetensors does not send parts of a file; leave --stream out"),
    "other-size": (Fault(headers={"Content-Range": "bytes 0-9/99"}), 1, "is not the file any more whose header"),
}


@pytest.mark.parametrize(("fault", "times", "says"), LASTING.values(), ids=LASTING)
def test_what_lasts_is_a_sentence(opened, clock, fault, times, says):
    _, repo, read = opened
    size = str(START + NBYTES)
    headers = {name: value.replace("{size}", size) for name, value in fault.headers.items()}
    repo.faults += [fault._replace(headers=headers)] * 20
    with pytest.raises(CheckpointError) as caught:
        read()
    assert says in str(caught.value)
    assert "org/model/model.safetensors" in str(caught.value) or "server of org/model asks" in str(caught.value)
    assert 20 - len(repo.faults) >= times
    assert max(clock.waits, default=0) <= LONGEST < MAX_WAIT


def test_another_etag_is_another_file(opened):
    _, repo, read = opened
    repo.faults += [Fault(headers={"ETag": '"1"'}), Fault(headers={"ETag": '"2"'})]
    read(0, 1)
    with pytest.raises(CheckpointError, match=r"model.safetensors is not the file any more whose header was read"):
        read(1, 2)


@pytest.mark.parametrize(
    "lies",
    [
        {"X-Repo-Commit": "0" * 40},
        {"X-Linked-Etag": f'"{hashlib.sha256(b"other").hexdigest()}"'},
        {"X-Linked-Size": "7"},
    ],
    ids=lambda lies: next(iter(lies)),
)
def test_another_commit_hash_or_size_is_another_file(opened, lies):
    _, repo, read = opened
    repo.lies |= lies
    with pytest.raises(CheckpointError, match=r"model.safetensors is not the file any more whose header was read"):
        read()


def test_a_commit_that_has_gone_is_a_sentence(opened):
    """What is read stays the commit that was opened, when the branch goes on."""
    _, repo, read = opened
    repo.files["model.safetensors"] = save({"a": WEIGHTS + 1})
    with pytest.raises(CheckpointError, match=r"org/model does not have the revision [0-9a-f]{40}"):
        read()


def test_a_hub_that_refuses_in_the_middle_is_a_sentence(opened):
    _, repo, read = opened
    repo.file_refusal = Refusal(403, "GatedRepo", "Access to model org/model is restricted")
    with pytest.raises(CheckpointError, match=r"org/model is gated; accept its terms"):
        read()


def test_a_hub_that_limits_addresses_is_waited_for(hub, opened, clock):
    _, repo, read = opened
    repo.file_refusal = Refusal(500)
    wait = clock.wait

    def over(seconds):
        wait(seconds)
        repo.file_refusal = None

    clock.wait = over
    opened[0]._ranges._waits._wait = over
    np.testing.assert_array_equal(read(), WEIGHTS)
    assert clock.waits == [0.5]


def test_the_token_goes_to_the_hub_and_not_beyond(hub, clock, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.repos["org/private"] = Repo(dict(FILES), token="hf_secret")
    checkpoint = open_checkpoint("org/private", stream=True)
    hub.requests.clear()
    hub.repos["org/private"].faults += [Fault(sent=0.5), Fault(403)]
    np.testing.assert_array_equal(checkpoint.read_bytes("a", 0, ROWS).view(np.float32), WEIGHTS)
    assert {request.token for request in hub.requests if request.host == "127.0.0.1"} == {"hf_secret"}
    assert {request.token for request in hub.requests if request.host == "localhost"} == {None}
    assert len(asked(hub)) == 3


def test_a_stop_ends_waits_and_reads(opened):
    checkpoint, repo, read = opened
    ranges = Ranges("org/model", repo.commit, checkpoint._wanted(), Waits())  # they wait for real
    checkpoint._ranges = ranges
    repo.faults += [Fault(429, {"Retry-After": "300"})]
    ended = []

    def reader():
        with pytest.raises(InterruptedError):
            read()
        ended.append(True)

    thread = threading.Thread(target=reader)
    thread.start()
    ranges.stop()
    thread.join(60)
    assert ended == [True]
    with pytest.raises(InterruptedError):
        read(0, 1)


def test_only_models_on_the_hub_are_streamed(llama):
    with pytest.raises(UsageError, match=r"is a local path, and only models on the Hub are streamed"):
        open_checkpoint(llama, stream=True)


# Whole runs.

#: Of a folder, a file does not tell the repository.
OPTIONS = {"pre_tokenizer": PRE_TOKENIZER, "threads": 2, "no_provenance": True}


class Recorder(Observer):
    def __init__(self):
        self.bytes = 0
        self.thread = threading.get_ident()

    def streamed(self, nbytes):
        assert threading.get_ident() == self.thread
        self.bytes += nbytes

    def download_started(self, files, nbytes):
        raise AssertionError("nothing is downloaded")


def repo_of(folder):
    return Repo({path.name: path.read_bytes() for path in folder.iterdir()})


@pytest.mark.parametrize("formats", [["q8_0"], ["f16", "q4_0"]], ids="+".join)
def test_a_streamed_run_writes_the_same_bytes(hub, clock, tmp_path, formats):
    local = make_checkpoint(tmp_path / "tiny", num_hidden_layers=1, shards=3)
    hub.repos["org/tiny"] = repo_of(local)
    for name in ("local", "streamed"):
        (tmp_path / name).mkdir()
    quantize(local, formats, tmp_path / "local", **OPTIONS)
    recorder = Recorder()
    reports = quantize("org/tiny", formats, tmp_path / "streamed", stream=True, observer=recorder, **OPTIONS)
    assert reports[0].source.repository == "org/tiny"
    written = {path.name: path.read_bytes() for path in (tmp_path / "streamed").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    assert len(written) == len(formats)
    assert recorder.bytes == sum(info.nbytes for info in open_checkpoint(local).infos.values())
    assert len(asked(hub)) < 30
    assert [*(tmp_path / "cache").rglob("*.safetensors")] == []
    assert hub.downloads() == sorted(name for name in hub.repos["org/tiny"].files if not name.endswith("safetensors"))


def test_a_hundred_dropped_connections_change_no_byte(hub, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(reading_ahead, "REQUEST_BYTES", 1 << 14)
    local = make_checkpoint(tmp_path / "tiny", num_hidden_layers=1)
    repo = hub.repos["org/tiny"] = repo_of(local)
    expected, streamed = BytesIO(), BytesIO()
    quantize(local, "q8_0", expected, **OPTIONS)
    repo.drops = 3
    quantize("org/tiny", "q8_0", streamed, stream=True, **OPTIONS)
    assert streamed.getvalue() == expected.getvalue()
    assert hub.dropped == 3 * len(repo.ends) > 100


def test_small_neighbours_are_one_request(hub, clock):
    small = {name: np.full(8, ord(name), np.float32) for name in "abcd"}
    large = {"c2": np.zeros((1 << 10, 1 << 5), np.float32)}
    hub.repos["org/model"] = Repo({"config.json": b"{}", "model.safetensors": save(small | large)})
    checkpoint = open_checkpoint("org/model", stream=True)
    hub.requests.clear()
    for name in "dabc" * 2:
        np.testing.assert_array_equal(checkpoint.read_bytes(name, 0, 1).view(np.float32)[0], small[name])
    # The library lays tensors of the same dtype out by name: the large one is between c and d, which is alone.
    assert [stop - start for start, stop in asked(hub)] == [32, 3 * 32]


def test_groups_end_where_they_are_long_enough_or_far_apart():
    def at(name, offset, nbytes=1000, file="f"):
        return Located(TensorInfo(name, "U8", (nbytes,), nbytes, file), offset)

    tensors = [
        at("a", 0), at("b", 1000),
        at("alone", 200_000),
        at("c", 300_000), at("d", 301_000 + GAP_BYTES),
        *(at(f"n{number}", (1 << 21) + number * SMALL_BYTES, SMALL_BYTES) for number in range(17)),
        at("large", 1 << 25, SMALL_BYTES + 1), at("e", (1 << 25) + SMALL_BYTES + 1),
        at("a2", 0, file="g"), at("b2", 1000, file="g"),
    ]  # fmt: skip
    groups = groups_of(reversed(tensors))
    assert groups["a"] == groups["b"] == Group("f", 0, 2000)
    assert groups["c"] == groups["d"] == Group("f", 300_000, 302_000 + GAP_BYTES)
    assert groups["n0"] == groups["n15"] == Group("f", 1 << 21, (1 << 21) + GROUP_BYTES)
    assert groups["a2"] == groups["b2"] == Group("g", 0, 2000)
    assert groups["alone"] == Group("f", 200_000, 201_000)
    assert groups["n16"] != groups["n15"]
    assert "large" not in groups
    assert groups_of([]) == {}


def test_a_download_gives_the_same_file_and_then_nothing_is_read_again(hub, clock, tmp_path):
    """The same to the last byte: what the file tells of its source too."""
    options = {**OPTIONS, "no_provenance": False}
    hub.repos["org/tiny"] = repo_of(make_checkpoint(tmp_path / "tiny", num_hidden_layers=1))
    streamed, downloaded, again = BytesIO(), BytesIO(), BytesIO()
    quantize("org/tiny", "q8_0", streamed, stream=True, **options)
    quantize("org/tiny", "q8_0", downloaded, **options)
    hub.requests.clear()
    quantize("org/tiny", "q8_0", again, stream=True, **options)
    assert streamed.getvalue() == downloaded.getvalue() == again.getvalue()
    assert {request.path for request in hub.requests} == {"/api/models/org/tiny/revision/main"}


def test_an_error_in_the_middle_ends_the_run(hub, clock, tmp_path):
    repo = hub.repos["org/tiny"] = repo_of(make_checkpoint(tmp_path / "tiny", num_hidden_layers=1))
    repo.faults += [Fault(), Fault()] + [Fault(403)] * 1000
    with pytest.raises(CheckpointError, match=r"HTTP 403"):
        quantize("org/tiny", "q8_0", tmp_path / "model.gguf", stream=True, **OPTIONS)
    assert not (tmp_path / "model.gguf").exists()


def test_a_run_whose_network_failed_goes_on(hub, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    monkeypatch.setattr(progress, "_PART", 0.0)
    monkeypatch.setattr(reading_ahead, "REQUEST_BYTES", 1 << 14)
    hub.repos["org/tiny"] = repo_of(make_checkpoint(tmp_path / "tiny", num_hidden_layers=1))
    whole, part = Recorder(), Recorder()
    quantize("org/tiny", "q8_0", streamed := BytesIO(), stream=True, observer=whole, **OPTIONS)
    with monkeypatch.context() as failing:
        calls = count()
        usual = Ranges.fill

        def fill(ranges, name, start, left):
            if next(calls) > 60:
                raise CheckpointError("It fails again and again.") from ConnectionError()
            usual(ranges, name, start, left)

        failing.setattr(Ranges, "fill", fill)
        with pytest.raises(CheckpointError, match="again and again") as raised:
            quantize("org/tiny", "q8_0", tmp_path / "model.gguf", stream=True, **OPTIONS)
    assert "run the same again to go on" in raised.value.__notes__[0]
    quantize("org/tiny", "q8_0", tmp_path / "model.gguf", stream=True, observer=part, **OPTIONS)
    assert part.bytes < whole.bytes
    assert (tmp_path / "model.gguf").read_bytes() == streamed.getvalue()


def test_a_model_in_an_encoding_is_streamed_too(hub, clock):
    codes = np.random.default_rng(1).integers(0, 256, (2, 4, 3, 16), np.uint8)
    scales = np.full((2, 4, 3), 127, np.uint8)
    hub.repos["org/mx"] = Repo(
        {"config.json": json.dumps({}).encode(), "model.safetensors": save({"w_blocks": codes, "w_scales": scales})}
    )
    checkpoint = open_checkpoint("org/mx", stream=True)
    assert checkpoint.stream is not None
    rows = checkpoint.read_bytes("w.weight", 2, 5)
    assert rows.shape == (3, 3 * 17)
    assert checkpoint.stream.received() == codes.nbytes + scales.nbytes  # small neighbours
