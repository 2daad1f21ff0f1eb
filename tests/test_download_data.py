"""Guards download_data.sh: the real script, run by bash, against a web server on this machine.

The server hands out a miniature ESC-50: the real layout and 2000 clips, each of a few bytes. Its checksums
are not those of the real data set, so most runs name their own: ESC50_CSV_SHA256 and ESC50_AUDIO_SHA256.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "download_data.sh"
HEADER = "filename,fold,target,category,esc10,src_file,take"
ORDINARY_TOOLS = (
    *("awk", "basename", "bash", "cat", "cksum", "cut", "date", "dirname", "find", "head", "ls", "md5"),
    *(
        "md5sum",
        "mkdir",
        "mv",
        "rm",
        "rmdir",
        "sed",
        "sha256sum",
        "shasum",
        "sleep",
        "sort",
        "tail",
        "tr",
        "wc",
    ),
)

pytestmark = pytest.mark.skipif(
    not shutil.which("bash") or not (shutil.which("curl") or shutil.which("wget")),
    reason="needs bash, and curl or wget",
)


# --------------------------------------------------------------------------------------- the miniature


def clip_bytes(index: int) -> bytes:
    """A whole wav file of two samples, different for every clip."""
    samples = index.to_bytes(4, "little")
    head = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = (
        b"\x01\x00\x01\x00"
        + (44100).to_bytes(4, "little")
        + (88200).to_bytes(4, "little")
        + b"\x02\x00\x10\x00"
    )
    return head + form + b"data" + len(samples).to_bytes(4, "little") + samples


@dataclass
class Miniature:
    """The files of a small ESC-50, and the checksums that a script expecting exactly this one would hold."""

    files: dict[str, bytes]

    @classmethod
    def whole(cls) -> Miniature:
        """One with nothing wrong."""
        files = {"LICENSE": b"CC BY-NC\n"}
        rows = [HEADER]
        for index in range(2000):
            fold, target, source = index % 5 + 1, index // 40, 1000 + index
            name = f"{fold}-{source}-A-{target}.wav"
            rows.append(f"{name},{fold},{target},class_{target},{target < 10},{source},A")
            files[f"audio/{name}"] = clip_bytes(index)
        files["meta/esc50.csv"] = ("\n".join(rows) + "\n").encode()
        return cls(files)

    def changed(self, **changes: bytes | None) -> Miniature:
        """This one with some files other, or (None) gone; 'clip' stands for one of the clips."""
        files = dict(self.files)
        for key, value in changes.items():
            path = {"clip": "audio/1-1000-A-0.wav", "csv": "meta/esc50.csv", "extra": "audio/extra.wav"}[key]
            files.pop(path, None)
            if value is not None:
                files[path] = value
        return Miniature(files)

    def zip(self) -> bytes:
        """The archive as GitHub packs it: everything in one folder named after the branch."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path, data in self.files.items():
                archive.writestr(f"ESC-50-master/{path}", data)
        return packed.getvalue()

    def expected(self) -> dict[str, str]:
        """The environment that makes the script expect this one."""
        clips = [
            f"{hashlib.md5(data).hexdigest()}  {path[len('audio/') :]}\n"
            for path, data in self.files.items()
            if path.startswith("audio/")
        ]
        return {
            "ESC50_CSV_SHA256": hashlib.sha256(self.files["meta/esc50.csv"]).hexdigest(),
            "ESC50_AUDIO_SHA256": hashlib.sha256("".join(sorted(clips)).encode()).hexdigest(),
        }

    def write(self, folder: Path) -> Path:
        """Writes it out as a folder that is there already, and returns that."""
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder


@pytest.fixture(scope="module")
def mini() -> Miniature:
    return Miniature.whole()


@pytest.fixture(scope="module")
def mini_zip(mini: Miniature) -> bytes:
    return mini.zip()


@pytest.fixture
def tmp_path(tmp_path: Path):
    """This test's folder, in memory where there is enough: 2000 files a run keep a disk busy for long."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 50_000_000:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder).resolve()


# ------------------------------------------------------------------------------------------ the server


@dataclass
class Route:
    """One address: what it serves, whether it can serve a part, and how its next answers go wrong."""

    body: bytes
    ranges: bool = True
    # one entry an answer, then all is well: 'cut' breaks off in the middle, a number is an HTTP error
    troubles: list[str | int] = field(default_factory=list)


@dataclass
class Web:
    """The server's addresses, and a log of what was asked: (path, the Range header or None)."""

    port: int
    routes: dict[str, Route] = field(default_factory=dict)
    log: list[tuple[str, str | None]] = field(default_factory=list)

    def serve(self, path: str, body: bytes, **how: object) -> str:
        """Puts something at a path (the keywords are Route's), and returns its address."""
        self.routes[path] = Route(body, **how)  # type: ignore[arg-type]
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def web():
    """A web server of this test's own, on the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.log.append((self.path, asked))
            route = site.routes.get(self.path)
            trouble = route.troubles.pop(0) if route and route.troubles else None
            if route is None or isinstance(trouble, int):
                self.send_error(404 if route is None else int(trouble))
                return
            start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1)) if asked and route.ranges else 0
            if start and start >= len(route.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(route.body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            rest = route.body[start:]
            self.send_response(206 if asked and route.ranges else 200)
            if asked and route.ranges:
                self.send_header("Content-Range", f"bytes {start}-{len(route.body) - 1}/{len(route.body)}")
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: len(rest) // 2] if trouble == "cut" else rest)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = Web(server.server_address[1])
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield site
    server.shutdown()
    server.server_close()


# ------------------------------------------------------------------------------------------ the script


def only_these_tools(folder: Path, *names: str) -> str:
    """A PATH on which there are the ordinary tools and, of the choosable ones, just those named."""
    folder.mkdir()
    for name in (*ORDINARY_TOOLS, *names):
        if name == "python3":
            (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            (folder / name).chmod(0o755)
        elif found := shutil.which(name):
            (folder / name).symlink_to(found)
        elif name in names:
            pytest.skip(f"no {name} on this machine")
    return str(folder)


@pytest.fixture(params=[("curl", "unzip"), ("wget", "python3")], ids="+".join)
def tools(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH for either way through the script: curl and unzip, or wget and python3 in their places."""
    return only_these_tools(tmp_path / "bin", *request.param)


@pytest.fixture
def run(mini: Miniature, tmp_path: Path):
    """Runs the script in an environment without proxies; keywords add to the environment."""

    def call(*arguments: object, urls: str = "", script: Path = SCRIPT, prefix: str = "", **env: str):
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        whole = {**kept, "HOME": str(tmp_path), "ESC50_URLS": urls, **mini.expected(), **env}
        command = ["bash", "-c", prefix + 'exec bash "$@"', "bash", str(script), *map(str, arguments)]
        return subprocess.run(
            command,
            check=False,
            env=whole,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    return call


def assert_whole(folder: Path, mini: Miniature) -> None:
    """The folder holds exactly the miniature, and nothing of the work is left beside it."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == set(mini.files)
    for path in ("meta/esc50.csv", "audio/1-1000-A-0.wav", "audio/5-2999-A-49.wav"):
        assert (folder / path).read_bytes() == mini.files[path]
    assert not list(folder.parent.glob(".*.download"))
    assert not list(folder.parent.rglob("*.part"))


def assert_failed(result: subprocess.CompletedProcess, folder: Path, *, code: int = 1) -> None:
    """It said so, once and on stderr, and left no folder that looks done."""
    assert result.returncode == code, result.stderr
    assert len(re.findall(r"^download_data: error: ", result.stderr, re.MULTILINE)) == 1
    assert "done:" not in result.stdout and "already complete" not in result.stdout
    assert not folder.exists()
    assert not list(folder.parent.glob(".*.download/new"))


# ----------------------------------------------------------------------------------------- downloading


def test_downloads_checks_and_cleans_up(run, web, mini, mini_zip, tmp_path, tools):
    """One run makes a folder that does not exist yet into a whole ESC-50 and leaves no zip behind."""
    folder = tmp_path / "deep" / "er" / "ESC 50"
    result = run(folder, urls=web.serve("/a.zip", mini_zip), PATH=tools)
    assert result.returncode == 0, result.stderr
    assert "done: 2000 clips" in result.stdout
    assert result.stderr == "" or "wget" in os.listdir(tools)
    assert_whole(folder, mini)
    assert web.log == [("/a.zip", None)]


def test_second_run_does_nothing(run, web, mini, mini_zip, tmp_path):
    """A whole folder is verified and left alone: nothing is asked of the network, no file is written."""
    folder, url = tmp_path / "ESC-50", web.serve("/a.zip", mini_zip)
    assert run(folder, urls=url).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    again = run(folder, urls=url)
    assert again.returncode == 0 and "already complete" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before
    assert len(web.log) == 1


def test_default_folder_is_beside_the_script(run, web, mini, mini_zip, tmp_path):
    """Without an argument the data go to data/ESC-50 of the script's folder, wherever one stands."""
    script = tmp_path / "repo" / SCRIPT.name
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)
    assert run(script=script, urls=web.serve("/a.zip", mini_zip)).returncode == 0
    assert_whole(script.parent / "data" / "ESC-50", mini)


def test_continues_when_the_connection_breaks(run, web, mini, mini_zip, tmp_path, tools):
    """A download that breaks off goes on from its last byte in the same run."""
    url = web.serve("/a.zip", mini_zip, troubles=["cut"])
    result = run(tmp_path / "ESC-50", urls=url, PATH=tools)
    assert result.returncode == 0, result.stderr
    assert "connection broke" in result.stderr
    assert web.log == [("/a.zip", None), ("/a.zip", f"bytes={len(mini_zip) // 2}-")]
    assert_whole(tmp_path / "ESC-50", mini)


def test_continues_what_an_earlier_run_left(run, web, mini, mini_zip, tmp_path):
    """What a failed run had fetched is kept, and the next run asks only for the rest."""
    folder = tmp_path / "ESC-50"
    url = web.serve("/a.zip", mini_zip, troubles=["cut", 503])
    assert_failed(run(folder, urls=url), folder)
    result = run(folder, urls=url)
    assert result.returncode == 0, result.stderr
    assert web.log[-1] == ("/a.zip", f"bytes={len(mini_zip) // 2}-")
    assert_whole(folder, mini)


def test_whole_zip_of_an_earlier_run_is_not_fetched_again(run, web, mini, mini_zip, tmp_path):
    """A run stopped between download and unpacking costs no second download, even without range support."""
    folder = tmp_path / "ESC-50"
    url = web.serve("/a.zip", mini_zip, troubles=["cut", 503])
    assert_failed(run(folder, urls=url), folder)
    web.routes["/a.zip"].ranges = False
    (part,) = tmp_path.glob(".ESC-50.download/*.part")
    part.write_bytes(mini_zip)
    asked = len(web.log)
    assert run(folder, urls=url).returncode == 0
    assert len(web.log) == asked
    assert_whole(folder, mini)


def test_server_without_ranges_is_asked_from_the_start(run, web, mini, mini_zip, tmp_path, tools):
    """A server that answers a request for the rest with everything (GitHub's) does not spoil the file."""
    url = web.serve("/a.zip", mini_zip, ranges=False, troubles=["cut"])
    result = run(tmp_path / "ESC-50", urls=url, PATH=tools)
    assert result.returncode == 0, result.stderr
    assert_whole(tmp_path / "ESC-50", mini)


@pytest.mark.parametrize("length", [0.5, 1], ids=["shorter", "as long"])
def test_zip_that_changed_since_is_fetched_anew(run, web, mini, mini_zip, tmp_path, tools, length):
    """A leftover of another version, sewn on or past the end (HTTP 416), costs a clean start, no failure."""
    folder, url = tmp_path / "ESC-50", web.serve("/a.zip", mini_zip, troubles=["cut", 503])
    assert_failed(run(folder, urls=url, PATH=tools), folder)
    (part,) = tmp_path.glob(".ESC-50.download/*.part")
    part.write_bytes(mini_zip[::-1][: int(length * len(mini_zip))])
    result = run(folder, urls=url, PATH=tools)
    assert result.returncode == 0, result.stderr
    assert "starting over" in result.stderr
    assert web.log[-1] == ("/a.zip", None)
    assert_whole(folder, mini)


def test_next_mirror_after_a_404(run, web, mini, mini_zip, tmp_path, tools):
    """A mirror that has not got the zip is named aloud, and the next one is used."""
    gone = f"http://127.0.0.1:{web.port}/gone.zip"
    result = run(tmp_path / "ESC-50", urls=f"{gone} {web.serve('/b.zip', mini_zip)}", PATH=tools)
    assert result.returncode == 0, result.stderr
    assert f"no ESC-50 from {gone}" in result.stderr
    assert [path for path, _ in web.log] == ["/gone.zip", "/b.zip"]
    assert_whole(tmp_path / "ESC-50", mini)


def test_part_of_one_mirror_is_not_continued_from_another(run, web, mini, mini_zip, tmp_path):
    """Mirrors pack their zips differently: the second one is asked for all of its own."""
    first = web.serve("/a.zip", mini_zip, troubles=["cut", 503])
    second = web.serve("/b.zip", mini.changed(clip=None).changed(clip=clip_bytes(0)).zip())
    result = run(tmp_path / "ESC-50", urls=f"{first} {second}")
    assert result.returncode == 0, result.stderr
    assert [asked for path, asked in web.log if path == "/b.zip"] == [None]
    assert_whole(tmp_path / "ESC-50", mini)


# -------------------------------------------------------------------------------------------- bad data


def test_truncated_zip_is_refused(run, web, mini_zip, tmp_path, tools):
    """A zip that ends too early, although the server says that this is all of it, leaves nothing behind."""
    result = run(tmp_path / "ESC-50", urls=web.serve("/a.zip", mini_zip[: len(mini_zip) // 2]), PATH=tools)
    assert_failed(result, tmp_path / "ESC-50")
    assert "not an intact zip" in result.stderr
    assert not list(tmp_path.glob(".*.download"))


def test_damaged_clip_in_the_zip_is_refused(run, web, mini, mini_zip, tmp_path, tools):
    """Flipped bytes inside one clip fail the zip's own CRC, even if its directory is in order."""
    sound = mini.files["audio/5-2999-A-49.wav"]
    assert mini_zip.count(sound) == 1
    result = run(
        tmp_path / "ESC-50", urls=web.serve("/a.zip", mini_zip.replace(sound, sound[::-1])), PATH=tools
    )
    assert_failed(result, tmp_path / "ESC-50")
    assert "not an intact zip" in result.stderr


def broken(mini: Miniature, how: str) -> Miniature:
    """The miniature, with one thing wrong."""
    csv = mini.files["meta/esc50.csv"]
    return {
        "missing clip": lambda: mini.changed(clip=None),
        "empty clip": lambda: mini.changed(clip=b""),
        "other clip": lambda: mini.changed(clip=clip_bytes(5000)),
        "clip too many": lambda: mini.changed(extra=clip_bytes(1)),
        "no csv": lambda: mini.changed(csv=None),
        "csv without a row": lambda: mini.changed(csv=csv[: csv.rindex(b"\n", 0, -1) + 1]),
        "csv header": lambda: mini.changed(csv=csv.replace(b",esc10,", b",other,", 1)),
        "csv content": lambda: mini.changed(csv=csv.replace(b"1-1000-A-0.wav,1,0", b"1-1000-A-0.wav,2,0", 1)),
    }[how]()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing clip", "1 clips are missing or empty, first audio/1-1000-A-0.wav"),
        ("empty clip", "1 clips are missing or empty, first audio/1-1000-A-0.wav"),
        ("other clip", "the clips in audio/ are not the published ones"),
        ("clip too many", "audio/ holds 2001 .wav files instead of 2000"),
        ("no csv", "meta/esc50.csv is missing"),
        ("csv without a row", "meta/esc50.csv has 1999 rows instead of 2000"),
        ("csv header", "meta/esc50.csv does not begin with the columns filename,fold,target,category,esc10"),
        ("csv content", "meta/esc50.csv has the wrong sha256"),
    ],
)
def test_wrong_contents_never_become_the_folder(run, web, mini, tmp_path, how, said):
    """An intact zip with the wrong contents is refused with the reason, and is not kept for later."""
    result = run(tmp_path / "ESC-50", urls=web.serve("/a.zip", broken(mini, how).zip()))
    assert_failed(result, tmp_path / "ESC-50")
    assert said in result.stderr
    assert not list(tmp_path.glob(".*.download"))


def test_built_in_checksums_refuse_an_imitation(run, web, mini_zip, tmp_path):
    """Without overrides the script holds out for the real data set: it takes no well-formed imitation."""
    url = web.serve("/a.zip", mini_zip)
    for unset, said in (
        ("CSV", "meta/esc50.csv has the wrong sha256"),
        ("AUDIO", "are not the published ones"),
    ):
        result = run(tmp_path / "ESC-50", urls=url, **{f"ESC50_{unset}_SHA256": ""})
        assert_failed(result, tmp_path / "ESC-50")
        assert said in result.stderr


def test_audio_checksum_can_be_skipped(run, web, mini, tmp_path):
    """The documented way past the audio checksum works, and past that one only."""
    other = broken(mini, "other clip")
    result = run(tmp_path / "ESC-50", urls=web.serve("/a.zip", other.zip()), ESC50_AUDIO_SHA256="skip")
    assert result.returncode == 0, result.stderr


# ------------------------------------------------------------------------------- what is there already


def test_incomplete_folder_is_repaired_and_nothing_in_it_lost(run, web, mini, mini_zip, tmp_path):
    """A folder that lacks a clip is reported, moved aside with all that is in it, and made anew."""
    folder = broken(mini, "missing clip").write(tmp_path / "ESC-50")
    (folder / "my notes.txt").write_text("mine")
    result = run(folder, urls=web.serve("/a.zip", mini_zip))
    assert result.returncode == 0, result.stderr
    assert "is incomplete: 1 clips are missing" in result.stderr
    assert_whole(folder, mini)
    (aside,) = tmp_path.glob("ESC-50.incomplete-*")
    assert str(aside) in result.stderr
    assert (aside / "my notes.txt").read_text() == "mine"
    assert len(list((aside / "audio").iterdir())) == 1999


def test_incomplete_folder_stays_when_the_repair_fails(run, web, mini, tmp_path):
    """Half a data set is not taken away from anybody before there is a whole one."""
    folder = broken(mini, "missing clip").write(tmp_path / "ESC-50")
    result = run(folder, urls=f"http://127.0.0.1:{web.port}/gone.zip")
    assert result.returncode == 1 and "error:" in result.stderr
    assert len(list((folder / "audio").iterdir())) == 1999
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ESC-50"]


def test_windows_line_ends_in_the_csv_pass(run, mini, tmp_path):
    """A folder cloned by git on Windows (CR LF) is as good as one from the zip."""
    csv = mini.files["meta/esc50.csv"].replace(b"\n", b"\r\n")
    result = run(mini.changed(csv=csv).write(tmp_path / "ESC-50"))
    assert result.returncode == 0 and "already complete" in result.stdout, result.stderr


def test_empty_folder_and_link_to_a_folder_are_filled(run, web, mini, mini_zip, tmp_path):
    """An empty folder becomes the data set itself; a link to one (a bigger disk) stays a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "ESC-50").symlink_to(tmp_path / "disk")
    result = run("ESC-50", urls=web.serve("/a.zip", mini_zip))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "ESC-50").is_symlink()
    assert_whole(tmp_path / "disk", mini)


def test_folder_with_other_things_is_refused(run, web, mini_zip, tmp_path):
    """A mistyped FOLDER (say, one's home) is neither moved aside nor written to."""
    folder = tmp_path / "home"
    (folder / "audio").mkdir(parents=True)
    (folder / "audio" / "song.wav").write_text("mine")
    result = run(folder, urls=web.serve("/a.zip", mini_zip))
    assert result.returncode == 2 and "holds other files and no ESC-50" in result.stderr
    assert [path.name for path in folder.rglob("*")] == ["audio", "song.wav"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert web.log == []


def test_target_that_is_a_file_is_refused(run, web, mini_zip, tmp_path):
    """A file in the folder's place is left as it is, and nothing is downloaded."""
    (tmp_path / "ESC-50").write_text("mine")
    result = run("ESC-50", urls=web.serve("/a.zip", mini_zip))
    assert result.returncode == 2 and "is not a folder" in result.stderr
    assert (tmp_path / "ESC-50").read_text() == "mine"
    assert web.log == []


# ------------------------------------------------------------------------------------ the surroundings


@pytest.mark.parametrize("arguments", [("one", "two"), ("",), ("--force",)], ids=["two", "empty", "option"])
def test_wrong_usage(run, tmp_path, arguments):
    """Anything but one folder is answered with the usage and exit 2; nothing is made."""
    result = run(*arguments)
    assert result.returncode == 2 and "usage: bash download_data.sh [FOLDER]" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_environment(run):
    """--help tells of the variables by which addresses and checksums are overridden."""
    result = run("--help")
    assert result.returncode == 0
    for name in ("ESC50_URLS", "ESC50_CSV_SHA256", "ESC50_AUDIO_SHA256"):
        assert name in result.stdout


def test_place_that_cannot_be_written(run, web, mini_zip, tmp_path):
    """A target in an impossible place (below a file) is found out before anything is downloaded."""
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / "file" / "ESC-50"
    result = run(folder, urls=web.serve("/a.zip", mini_zip))
    assert result.returncode == 2 and "cannot write in" in result.stderr
    assert web.log == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_write_permission(run, web, mini_zip, tmp_path):
    """A parent that one may not write to is found out before anything is downloaded."""
    (tmp_path / "locked").mkdir(mode=0o555)
    result = run(tmp_path / "locked" / "ESC-50", urls=web.serve("/a.zip", mini_zip))
    assert result.returncode == 2 and "cannot write in" in result.stderr
    assert web.log == []


def test_disk_full_while_downloading(run, web, mini, mini_zip, tmp_path, tools):
    """When writing fails the run ends at once with a remedy, and goes on from there when there is room.

    A limit on the size of files stands in for the full disk: the tools meet the same failing write.
    """
    folder, url = tmp_path / "ESC-50", web.serve("/a.zip", mini_zip)
    result = run(folder, urls=f"{url} {url}2", PATH=tools, prefix="trap '' XFSZ; ulimit -f 100; ")
    assert_failed(result, folder)
    assert "disk full?" in result.stderr and "run this again" in result.stderr
    assert [path for path, _ in web.log] == ["/a.zip"]
    assert run(folder, urls=url, PATH=tools).returncode == 0
    assert web.log[-1][1] is not None
    assert_whole(folder, mini)


def test_no_network(run, tmp_path, tools):
    """With nobody answering there is one error with a remedy, exit 1, and no trace."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        result = run(
            tmp_path / "ESC-50", urls=f"http://127.0.0.1:{nobody.getsockname()[1]}/a.zip", PATH=tools
        )
    assert_failed(result, tmp_path / "ESC-50")
    assert "Is there a network?" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


@pytest.mark.parametrize(
    ("there", "said"), [(["unzip"], "neither curl nor wget"), (["curl"], "neither unzip nor python3")]
)
def test_missing_tools_are_named(run, tmp_path, there, said):
    """Without a downloader, or without anything that unpacks, the error says what to install."""
    result = run(tmp_path / "ESC-50", PATH=only_these_tools(tmp_path / "bin", *there))
    assert_failed(result, tmp_path / "ESC-50", code=2)
    assert said in result.stderr and "install one of them" in result.stderr


def test_progress_is_shown_on_a_terminal_only(mini, mini_zip, web, tmp_path):
    """A person watching sees curl's meter; a log file (see the first test) gets none of it."""
    pty = pytest.importorskip("pty")
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], "ESC50_URLS": web.serve("/a.zip", mini_zip), **mini.expected()}
    done = subprocess.run(
        ["bash", str(SCRIPT), str(tmp_path / "ESC-50")],
        check=False,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        timeout=60,
    )
    seen = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    assert "% Received" in seen
