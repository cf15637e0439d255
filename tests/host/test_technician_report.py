"""What `all` is made of, without a board: report, import at the desk, table of errors, search for keys."""

import argparse
import base64
import csv
import io
import json
import os
import secrets
import sys
import threading
import time

import pytest
import segno

from faults.tray_secrets import shown
from tools import technician
from tools.flasher import atdesk, ports, rom, site, tray, whole
from tools.flasher.errors import KINDS, FlashError
from tools.flasher.label import label
from tools.flasher.report import REFUSED, SERVICE, STOPPED, UNFINISHED, Report, scrub
from tools.flasher.show import Screen
from tools.flasher.whole import Options

SITE = '[tag]\nboard = "tag-a"\n[tag.broker]\nhost = "127.0.0.1"\ntls = false\n'


def test_the_page_has_every_error_with_its_present_text_and_cure():
    text = technician.PAGE.read_text()
    missing = [kind for kind in KINDS if f"| `{kind}` |" not in text]
    assert not missing, f"docs/technician.md lacks {missing}: python -m tools.technician"
    assert text == technician.page(text), "docs/technician.md is old: python -m tools.technician"


def test_a_row_is_on_disk_from_its_beginning_and_after_each_step(tmp_path):
    report = Report(tmp_path / "tray")
    row = report.begin("/dev/ttyUSB0")
    assert [each["result"] for each in Report(tmp_path / "tray").rows()] == [UNFINISHED]
    row["step"] = "install"
    report.keep(row)
    # What a program leaves that is killed now.
    (found,) = Report(tmp_path / "tray").rows()
    assert (found["step"], found["result"]) == ("install", UNFINISHED)
    row["result"] = SERVICE
    report.keep(row)
    report.begin("/dev/ttyUSB1")
    report.stop()
    assert [each["result"] for each in Report(tmp_path / "tray").rows()] == [SERVICE, STOPPED]


def test_rows_of_several_threads_and_reports_all_stay(tmp_path):
    def work(report: Report) -> None:
        for _ in range(10):
            row = report.begin("port")
            row["result"] = REFUSED
            report.keep(row)

    threads = [threading.Thread(target=work, args=(Report(tmp_path),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = Report(tmp_path).rows()
    assert sorted(row["number"] for row in rows) == list(range(1, 41))
    assert all(row["result"] == REFUSED for row in rows)


def test_the_csv_has_a_cell_for_everything(tmp_path):
    report = Report(tmp_path)
    row = report.begin("p")
    row |= {
        "result": REFUSED,
        "steps": {"burn": {"s": 2.5, "how": "done"}},
        "answers": [["Is its light on?", "no"]],
        "figures": {"battery": {"mv": 3900}},
        "error": "not-seen",
        "reason": 'a "quoted", reason',
    }
    report.keep(row)
    (found,) = csv.DictReader(io.StringIO(report.csv.read_text()))
    assert (found["burn_s"], found["install_s"]) == ("2.5", "")
    assert (found["answers"], found["figures"]) == ("Is its light on? no", "battery.mv=3900")
    assert found["reason"] == row["reason"]


def test_what_is_as_long_as_a_key_is_not_written(tmp_path):
    key = secrets.token_bytes(32)
    forms = [key.hex(), key.hex().upper(), base64.b64encode(key).decode()]
    forms.append(base64.urlsafe_b64encode(key).decode().rstrip("="))
    report = Report(tmp_path)
    for text in forms:
        row = report.begin("p")
        row["reason"] = f"it said {text}!"
        report.keep(row)
    both = report.json.read_text() + report.csv.read_text()
    assert both.count("(left out)") == 2 * len(forms)
    assert shown([key], {"report": both.encode()}) == []
    # What a report is for passes: an ICCID, a version, the way to a label, a time.
    for text in (
        "8900100000000000017F",
        "1951B17SIM7080",
        "/a/quite/long/way/to/labels/of/tray/0123456789abcdef.svg",
    ):
        assert scrub(text) == text


def test_a_damaged_report_is_named_and_left_alone(tmp_path):
    (tmp_path / "tray.json").write_text("[{")
    with pytest.raises(FlashError) as problem:
        Report(tmp_path).begin("p")
    assert (problem.value.kind, (tmp_path / "tray.json").read_text()) == ("report", "[{")


@pytest.mark.parametrize("form", ["raw", "hex", "HEX", "base64", "base64 within", "a piece"])
def test_the_search_finds_a_key_in_every_form(form):
    key = secrets.token_bytes(32)
    hidden = {
        "raw": key,
        "hex": key.hex().encode(),
        "HEX": key.hex().upper().encode(),
        "base64": base64.b64encode(key),
        "base64 within": base64.b64encode(b"x" + key + b"yz"),
        "a piece": b"..." + key[11:17].hex().encode() + b"...",
    }[form]
    assert shown([key], {"good": secrets.token_bytes(2000), "bad": b"before " + hidden + b" after"}) == [
        "bad"
    ]


def _site(folder, text):
    path = folder / "site.toml"
    path.write_text(SITE + text)
    (folder / "registrations").mkdir(exist_ok=True)
    return site.load(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('import = "register.sh {file}"', "list of words"),
        ('import = ["register.sh"]', "{file}"),
        ('import = ["register.sh", 7, "{file}"]', "list of words"),
        ('imports = ["x", "{file}"]', "no field imports"),
    ],
)
def test_an_import_that_cannot_be_right_is_refused(tmp_path, text, words):
    with pytest.raises(FlashError) as problem:
        _site(tmp_path, f"[desk]\n{text}\n")
    assert (problem.value.kind, words in problem.value.text) == ("site-bad", True)


def _importer(code: str) -> str:
    return f"[desk]\nimport = {json.dumps([sys.executable, '-c', code, '{file}'])}\n"


def test_the_import_gets_the_file_in_the_sites_folder_without_a_shell(tmp_path):
    code = "import os, sys; open('seen', 'w').write(sys.argv[1])"
    assert atdesk.register("p", _site(tmp_path, _importer(code)), Screen(True), "$(id)") == "by command"
    assert (tmp_path / "seen").read_text() == str(tmp_path / "registrations" / "$(id).json")


def test_imports_of_several_threads_do_not_overlap(tmp_path):
    code = "import os, time; os.open('one', os.O_CREAT | os.O_EXCL); time.sleep(0.2); os.remove('one')"
    place = _site(tmp_path, _importer(code))
    wrong = []

    def register() -> None:
        try:
            atdesk.register("p", place, Screen(True), "tag")
        except FlashError as error:
            wrong.append(error)

    threads = [threading.Thread(target=register) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import sys; sys.exit('desk: no such file')", "desk: no such file"),
        ("import sys; sys.exit(3)", "status 3"),
        ("import sys; sys.exit('key ' + 'ab' * 32)", "key (left out)"),
        ("import time; time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_an_import_that_fails_says_why(tmp_path, monkeypatch, code, text):
    monkeypatch.setattr(atdesk, "_IMPORT_S", 1 if "sleep" in code else 20)
    with pytest.raises(FlashError) as problem:
        atdesk.register("p", _site(tmp_path, _importer(code)), Screen(True), "tag")
    assert (problem.value.kind, text in problem.value.text) == ("import", True), problem.value


def test_an_import_that_does_not_exist_says_so(tmp_path):
    place = _site(tmp_path, '[desk]\nimport = ["./gone.sh", "{file}"]\n')
    with pytest.raises(FlashError) as problem:
        atdesk.register("p", place, Screen(True), "tag")
    assert problem.value.text.endswith("./gone.sh: No such file or directory")


@pytest.fixture
def typed(monkeypatch):
    """What the technician types, through a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writing


def test_without_an_import_the_technician_is_asked(tmp_path, typed, capsys):
    place, screen = _site(tmp_path, ""), Screen(True)
    os.write(typed, b"\n")
    assert atdesk.register("p", place, screen, "00ff") == "by hand"
    assert "00ff.json" in json.loads(capsys.readouterr().out)["question"]
    assert screen.answers["p"][0][1] == "done"
    os.close(typed)
    with pytest.raises(FlashError) as problem:
        atdesk.register("p", place, screen, "00ff")
    assert problem.value.kind == "import"


def test_lines_that_were_typed_ahead_answer_one_question_each(typed):
    screen = Screen(True)
    os.write(typed, b"y\nno\nYES\n")
    assert [screen.ask("p", "well?") for _ in range(3)] == [True, False, True]
    os.close(typed)
    assert screen.ask("p", "well?") is False


def test_a_question_ends_when_the_program_is_stopped(typed):
    screen = Screen(True)
    threading.Timer(0.1, screen.stopped.set).start()
    with pytest.raises(FlashError) as problem:
        screen.ask("p", "well?")
    assert problem.value.kind == "stopped"


def test_a_board_is_new_when_its_port_was_away_long_enough(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    port = tmp_path / "port"
    place = tray._Place(str(port))
    assert not place.new()
    port.touch()
    assert place.new()
    place.thread = threading.Thread()  # it was worked at, and has ended
    assert not place.new()
    port.unlink()
    for clock[0] in (101.0, 103.9, 110.0):
        assert not place.new()
    port.touch()
    assert place.new()
    # A chip with USB of its own that starts: away for a moment.
    place.thread, place.away_s = threading.Thread(), None
    port.unlink()
    clock[0] = 120.0
    assert not place.new()
    port.touch()
    clock[0] = 122.0
    assert not place.new()


def test_a_fault_of_our_own_at_one_board_is_no_success(tmp_path, monkeypatch, capsys):
    def look(_port: str) -> None:
        raise ZeroDivisionError("nobody expected that")

    monkeypatch.setattr("tools.flasher.whole.look", look)
    place, report = _site(tmp_path, ""), Report(tmp_path / "tray")
    status = tray.run(["/dev/null"], None, place, Screen(True), report, Options())
    assert status == KINDS["tag-failed"].status
    assert "ZeroDivisionError: nobody expected that" in capsys.readouterr().out
    assert [row["result"] for row in report.rows()] == [UNFINISHED]


@pytest.mark.parametrize("twice", [False, True])
def test_ctrl_c_is_in_the_report_also_when_it_comes_twice(tmp_path, monkeypatch, twice):
    at_work = threading.Event()

    def look(port: str) -> None:
        at_work.set()
        threading.Event().wait(20)

    def interrupted(*_: object) -> None:
        assert at_work.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(whole, "look", look)
    monkeypatch.setattr(tray.time, "sleep", interrupted)
    monkeypatch.setattr(tray, "_END_S", 0.1)
    if twice:
        monkeypatch.setattr(threading.Thread, "join", interrupted)
    place, report = _site(tmp_path, ""), Report(tmp_path / "tray")
    try:
        assert tray.run(["/dev/null"], None, place, Screen(True), report, Options()) == tray.STOPPED
    except KeyboardInterrupt:
        assert twice
    assert [row["result"] for row in Report(tmp_path / "tray").rows()] == [STOPPED]


def test_a_tag_that_check_refuses_has_its_figures_in_the_report(tmp_path, monkeypatch):
    place, report = _site(tmp_path, ""), Report(tmp_path / "tray")
    (tmp_path / "registrations" / "0123456789abcdef.json").write_text("{}")
    found = {"chip": "esp32s3", "mac": "m", "what": "a tag", "micropython": "1.28.0", "tag": None}
    monkeypatch.setattr(whole, "look", lambda port: {**found, "obereg": None, "service": False})
    monkeypatch.setattr(whole, "install", lambda *_: argparse.Namespace(how="files"))
    monkeypatch.setattr(whole, "provision", lambda *_: "0123456789abcdef")
    monkeypatch.setattr(whole, "register", lambda *_: "done")

    def check(port, site, screen, figures):
        figures["battery"] = {"mv": 3900}
        figures["modem"] = {"error": "modem-mute"}
        raise FlashError("modem-mute")

    monkeypatch.setattr(whole, "check", check)
    problem = whole.Job("p", place, Screen(True), report, Options()).run()
    (row,) = report.rows()
    assert (problem.kind, row["result"], row["step"]) == ("modem-mute", REFUSED, "check")
    assert row["figures"] == {"battery": {"mv": 3900}, "modem": {"error": "modem-mute"}}
    assert "battery.mv=3900; modem.error=modem-mute" in report.csv.read_text()


def test_a_chip_that_is_held_starts_once_at_the_end_whatever_happened(tmp_path, monkeypatch):
    # A program in esptool's place: it notes how it was called. In the simulator a PTY resets no chip.
    (tmp_path / "esptool.py").write_text(
        "import os, sys\n"
        "with open(os.environ['NOTES'], 'a') as notes: notes.write(' '.join(sys.argv[5:]) + '\\n')\n"
        "print('Chip type:          ESP32-S3\\nMAC:                02:00:00:00:00:01')\n"
        "if sys.argv[-4:-3] == ['read-flash']: open(sys.argv[-1], 'wb').write(b'x' * int(sys.argv[-2], 16))\n"
    )
    notes = tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(notes))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(ports, "probe", lambda port: None)

    def look() -> None:
        with rom.hold("/dev/null"):
            assert rom.identify("/dev/null") == ("esp32s3", "02:00:00:00:00:01")
            assert rom.read("/dev/null", 0x8000, 4) == b"xxxx"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look()
    rom.identify("/dev/null")
    said = notes.read_text().splitlines()
    assert [line.split()[0] for line in said] == ["--after", "--after", "chip-id", "chip-id"]
    assert all(line.startswith("--after no-reset ") for line in said[:2])


def test_all_without_a_board_says_so_and_a_tray_waits(tmp_path, monkeypatch):
    place, screen, report = _site(tmp_path, ""), Screen(True), Report(tmp_path / "tray")
    monkeypatch.setattr(ports.list_ports, "comports", list)
    with pytest.raises(FlashError) as problem:
        tray.run([], None, place, screen, report, Options())
    assert problem.value.kind == "no-port"
    seen = []

    def sleep(_s: float) -> None:
        seen.append(1)
        if len(seen) > 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(tray.time, "sleep", sleep)
    assert tray.run([], 3, place, screen, report, Options()) == 130


def test_a_pdf_label_is_whole_and_has_the_id_as_code_and_text(tmp_path):
    data = label("0123456789abcdef", tmp_path / "label.pdf").read_bytes()
    start = int(data.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert data[start:].startswith(b"xref\n0 6\n")
    places = [int(line.split()[0]) for line in data[start:].split(b"\n")[3:8]]
    assert [data[place : place + 7] for place in places] == [b"%d 0 obj" % n for n in range(1, 6)]
    length = int(data.split(b"/Length ")[1].split(b" ")[0])
    stream = data.split(b"stream\n", 1)[1][: length + 10]
    assert stream.endswith(b"\nendstream")
    assert b"(0123 4567 89ab cdef) Tj" in stream
    code = segno.make("0123456789ABCDEF", error="m", micro=False)
    assert stream.count(b" re\n") == sum(map(sum, code.matrix))
    # Dark squares lie where they belong: the finder's corner is dark, the quiet zone is not.
    side = code.symbol_size(border=4)[0]
    corner = f"{4 * 4} {side * 4 + 24 - 5 * 4} 4 4 re".encode()
    assert corner in stream
