"""`check` at a simulated tag: every part in words and with a figure; what fails is named, and all else is tried."""

import ssl
import zlib

import pytest

from sim import certs
from sim.modem import Card, Coverage, Fault
from tests.host.check_room import HOST, OTHERS, OURS, Room
from tests.host.technician_bench import Table, at_tables
from tools.flasher.errors import KINDS

# All of them run before the first is judged.
pytestmark = pytest.mark.timeout(300)

LILYGO = "lilygo-t-sim7080g"
BODY = {"board", "battery", "charger", "button", "vibration", "light", "clock"}
CHIP = {"firmware", "flash", "rtc_memory"}
LTE = {"modem", "sim", "registration", "pdp"}
NO_IDENTITY = """
import os, esp32
for name in ("/data/identity", "/config.json"):
    os.remove(name)
nvs = esp32.NVS("obereg")
nvs.erase_key("identity")
nvs.commit()
"""
# A chip that is broken in three ways: boot.py, which runs before every script, makes it so; the manifest agrees.
BROKEN = """
import builtins, machine
right, sound = builtins.open, machine.RTC
class Rotten:
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *_): self.file.close()
    def read(self, count):
        data = bytearray(self.file.read(count))
        data[7] ^= 1
        return bytes(data)
def rotten(path, mode="r", *more):
    file = right(path, mode, *more)
    return Rotten(file) if path == "/check.tmp" and mode == "rb" else file
class RTC(sound):
    def memory(self, data=None):
        if data is None:
            return super().memory()
        return super().memory(bytes([data[n] & (0xFE if n == 1999 else 0xFF) for n in range(len(data))]))
    def datetime(self, *_): return (2026, 1, 1, 0, 0, 0, 0, 0)
builtins.open, machine.RTC = rotten, RTC
"""
# {path} becomes what `change` makes of its text, and the manifest says so.
CHANGE = """
import json
from binascii import hexlify
from hashlib import sha256
with open({path!r}) as file:
    text = file.read()
text = {change}
with open({path!r}, "w") as file:
    file.write(text)
with open("/manifest.json") as file:
    said = json.load(file)
said["files"][{path!r}[1:]] = hexlify(sha256(text.encode()).digest()).decode()
with open("/manifest.json", "w") as file:
    json.dump(said, file)
"""


async def well(table: Table) -> None:
    """Everything works: modem, Wi-Fi, TLS with the real CA over both."""
    room = Room(table)
    # A cable that was pulled in the last check left the CA in the modem, but not converted.
    room.modem.store(f"ob{zlib.crc32(OURS.der):08x}.crt", ssl.DER_cert_to_PEM_cert(OURS.der).encode())
    async with room.open(pair=OURS.issue(HOST)):
        told = await room.check()
        assert (told.status, told.kinds, told.untried) == (0, {}, {}), told.events
        wanted = CHIP | BODY | LTE | {"settings", "broker_modem", "wifi", "broker_wifi", "gnss"}
        assert told.good == wanted
        parts = told.parts
        assert parts["flash"]["free"] > 1_000_000
        assert (parts["battery"]["mv"], parts["charger"]["plugged"]) == (3900, True)
        assert (parts["modem"]["imei"], parts["modem"]["firmware"]) == ("860000000000017", "1951B17SIM7080")
        assert parts["sim"]["iccid"] == Card().iccid
        assert (parts["registration"]["band"], parts["registration"]["rsrp_dbm"]) == (20, -89)
        assert parts["pdp"]["address"] == "10.0.0.2"
        assert (parts["gnss"]["satellites"], parts["gnss"]["bad"]) == (9, 0)
        for part in ("broker_modem", "broker_wifi"):
            assert (parts[part]["tls"], parts[part]["known"]) == (True, True)
        assert room.felt.count("vibration") == 3
        assert "light" in room.felt
        # Nothing is left on the tag, and what it knows is as it was.
        again = (await table.good("install", "--json")).facts()[-1]
        assert again["how"] == "nothing"


async def body(table: Table) -> None:
    """What a person does and feels; the battery is nearly empty, SIM and sky are missing, the Wi-Fi key is wrong."""
    room = Room(table, card=None)
    async with room.open(wired=("modem",)):
        room.panel.set("battery", 3300)
        room.panel.wifi("home", "another")
        # What the site file says counts only once the tag has it.
        room.site("[tag]", "[tag]\ndiscreet = true")
        room.presses = False
        room.no = {"vibrate", "light"}
        told = await room.check()
        told.fails(
            {
                "settings": "settings-other",
                "battery": "battery-low",
                "button": "no-press",
                "vibration": "not-felt",
                "light": "not-seen",
                "sim": "sim-missing",
                "wifi": "wifi-key",
                "gnss": "gnss-mute",
            }
        )
        # The first that failed.
        assert told.status == KINDS["settings-other"].status
        assert told.untried["registration"] == ["sim"]
        assert told.untried["broker_wifi"] == ["settings", "wifi"]
        assert told.good >= CHIP | {"board", "clock", "modem"}
        for name, kind in told.kinds.items():
            assert told.parts[name]["status"] == KINDS[kind].status
            assert len(told.parts[name]["said"]) > 40


async def late(table: Table) -> None:
    """A SIM put in after power-on is seen when the modem is started anew; a weak network, a stuck button, no sky."""
    room = Room(table, card=None, ttff_s=60, coverage=Coverage(rsrp_dbm=-120, roaming=True))
    async with room.open():
        room.panel.set("button", 1)
        room.no = {"open sky"}

        def put_in(event):
            if event.get("part") == "sim" and "started anew" in event["said"]:
                room.modem.set_card(Card())

        told = await room.check(then=put_in)
        told.fails({"button": "button-stuck"})
        assert told.parts["sim"]["iccid"] == Card().iccid
        assert told.parts["gnss"]["satellites"] == 0
        assert (
            "roaming, network 001-01, band 20, RSRP -120 dBm, which is weak"
            in told.parts["registration"]["said"]
        )
        assert told.good >= LTE | {"broker_modem", "gnss"}


async def locked(table: Table) -> None:
    """A PIN; no satellite under an open sky; no battery; the broker's certificate is another CA's."""
    room = Room(table, card=Card(pin="1234"), ttff_s=60)
    async with room.open(pair=OTHERS.issue(HOST)):
        room.panel.set("battery", 0)
        told = await room.check()
        told.fails(
            {
                "battery": "battery-none",
                "sim": "sim-pin",
                "broker_wifi": "tls",
                "gnss": "gnss-deaf",
            }
        )


async def denied(table: Table) -> None:
    """The network refuses the SIM; the certificate names another host."""
    room = Room(table, faults=[Fault("denied")])
    async with room.open(pair=OURS.issue("another.example")):
        told = await room.check(20)
        told.fails({"registration": "sim-refused", "broker_wifi": "tls-name"})
        assert Card().iccid in told.parts["registration"]["said"]


async def cellar(table: Table) -> None:
    """No network at all and no Wi-Fi here."""
    room = Room(table, coverage=None)
    async with room.open(wifi=False):
        told = await room.check(3)
        told.fails({"registration": "no-signal", "wifi": "wifi-absent"})
        assert "antenna" in told.parts["registration"]["said"]


async def weak(table: Table) -> None:
    """The modem's supply is below what it needs; this one by the command line."""
    room = Room(table, supply_mv=2700)
    async with room.open():

        def person(event):
            room.panel.set("button", int(event.get("step") == "press"))
            return b"y\n" if "question" in event else None

        done = await table.talk(person, "check", "--seconds", "5", "--search", "3")
        assert (done.status, done.err) == (KINDS["brown-out"].status, "")
        *said, last = done.facts()
        # Nothing more is tried behind it.
        assert (said[-1]["part"], said[-1]["error"], last["error"]) == ("modem", "brown-out", "brown-out")


async def apn(table: Table) -> None:
    """The network lets in with another APN only, and names it."""
    room = Room(table, coverage=Coverage(apns=("", "another")))
    async with room.open():
        told = await room.check(4)
        told.fails({"registration": "apn"})
        assert "APN obereg; it gives another by itself" in told.parts["registration"]["said"]
        said = [each["command"] for each in room.modem.recorder.exchanges()]
        assert [text for text in said if "CGDCONT=" in text][-1] == 'AT+CGDCONT=1,"IP","obereg"'


async def shut(table: Table) -> None:
    """The network is heard and lets nobody in; then it lets in, and refuses the context."""
    room = Room(table, coverage=Coverage(apns=("another",)))
    async with room.open(wifi=False):
        told = await room.check(3)
        assert told.kinds["registration"] == "not-let-in"
        room.modem.set_coverage(Coverage())
        room.modem.fault(Fault("pdp_refused", count=0))
        told = await room.check(3)
        assert told.kinds["pdp"] == "apn"


async def modem_tls(table: Table, pair: certs.Pair, kind: str) -> None:
    """The modem looks at the certificate."""
    room = Room(table)
    async with room.open(pair=pair, wifi=False):
        told = await room.check()
        told.fails({"broker_modem": kind, "wifi": "wifi-absent"})


async def far_side(table: Table) -> None:
    """The broker does not know the password yet: no fault of the tag. Then there is no broker, and no such host."""
    room = Room(table)
    async with room.open():
        given = room.table.registrations()[0]["tag"]
        room.far.users[given] = "another"
        await room.far.broker.stop()
        await room.far.register()
        told = await room.check()
        told.fails({})
        assert told.parts["broker_modem"]["known"] is False
        assert "refuses this tag's password" in told.parts["broker_wifi"]["said"]
        await room.far.broker.stop()
        told = await room.check()
        told.fails({"broker_modem": "broker", "broker_wifi": "broker"})
        room.site("127.0.0.1", "nowhere.invalid")
        await room.provision()
        told = await room.check()
        told.fails({"broker_modem": "no-host", "broker_wifi": "no-host"})


async def mute(table: Table) -> None:
    """Nothing is wired where the modem should be. Without Wi-Fi in the settings it is said as such."""
    room = Room(table)
    room.site('wifi = [["home", "wpa2wpa2"]]', "")
    table.site.write_text(table.site.read_text().replace("[tag]", "[tag]\nwifi = []", 1))
    async with room.open(wired=("gnss",)):
        told = await room.check()
        told.fails({"modem": "modem-mute"})
        assert told.untried["sim"] == ["modem"]
        assert "wifi" in told.lacking


async def brown_out(table: Table) -> None:
    """The chip restarts when the modem gets its supply."""
    room = Room(table)
    async with room.open():
        board = table.boards[0]

        def gives_way(name, value, _):
            if name == "modem_pwrkey" and value:
                board.chip.reset()

        room.panel.on_output(gives_way)
        told = await room.check()
        told.fails({"modem": "brown-out"})
        assert (told.status, "modem" in told.parts["modem"]["said"]) == (KINDS["brown-out"].status, True)


async def installed_only(table: Table) -> None:
    """Never provisioned, and the settings use no modem: the hardware is tried all the same."""
    room = Room(table)
    async with room.open(apn=None):
        await table.python(NO_IDENTITY)
        kept = b"epoch and seq, and more" * 9
        await table.python(f"import machine; machine.RTC().memory({kept!r})")
        told = await room.check()
        told.fails({})
        assert told.lacking == {"settings", "network_time", "broker_modem", "broker_wifi"} | LTE
        assert told.good == CHIP | BODY | {"wifi", "gnss"}
        # Nothing is left of it.
        assert await table.python("import machine; print(machine.RTC().memory())") == str(kept)
        assert "check" not in await table.python("import os; print(os.listdir('/'))")


async def broken_chip(table: Table) -> None:
    """Flash and RTC memory that lose a bit, a clock that stands; then firmware that is not what was installed."""
    room = Room(table)
    async with room.open(apn=None):
        await table.python(CHANGE.format(path="/boot.py", change=f"text + {BROKEN!r}"))
        told = await room.check()
        told.fails({"flash": "flash-bad", "rtc_memory": "rtc-bad", "clock": "clock-bad"})
        await table.good("install")
        await table.python("with open('/lib/cbor.mpy', 'ab') as file: file.write(b'x')")
        told = await room.check()
        told.fails({"firmware": "firmware-other"})
        assert "lib/cbor.mpy" in told.parts["firmware"]["said"]
        assert told.untried["board"] == ["firmware"]
        assert told.good == {"flash", "rtc_memory"}


async def another_board(table: Table) -> None:
    """The board with a power chip and the receiver in the modem; then neither of them answers."""
    room = Room(table, gnss="walk")
    room.site('board = "tag-a"', f'board = "{LILYGO}"')
    async with room.open(provisioned=False, wifi=False):
        told = await room.check()
        assert "firmware" in told.kinds
        await table.good("install")
        await room.provision()
        await room.another(LILYGO)
        told = await room.check()
        told.fails({})
        assert told.parts["charger"]["plugged"] is True
        assert told.parts["battery"]["mv"] == 3900
        assert told.parts["gnss"]["satellites"] >= 4
        # None is here, and the modem works.
        assert told.lacking == {"wifi", "broker_wifi", "network_time"}
        room.modem.fault(Fault("gnss_run_zero"))
        told = await room.check()
        told.fails({"gnss": "gnss-mute"})
        await table.python(
            CHANGE.format(path=f"/boards/{LILYGO}.json", change="text.replace('\"sda\": 15', '\"sda\": 14')")
        )
        told = await room.check()
        told.fails({"board": "power-chip"})


def over_modem(pair: certs.Pair, kind: str):
    return lambda table: modem_tls(table, pair, kind)


STORIES = {
    "mute": mute,
    "body": body,
    "late": late,
    "locked": locked,
    "another_board": another_board,
    "well": well,
    "denied": denied,
    "cellar": cellar,
    "weak": weak,
    "apn": apn,
    "shut": shut,
    "far_side": far_side,
    "brown_out": brown_out,
    "installed_only": installed_only,
    "broken_chip": broken_chip,
    "another CA": over_modem(OTHERS.issue(HOST), "tls"),
    "another name": over_modem(OURS.issue("another.example"), "tls-name"),
    "out of date": over_modem(OURS.issue(HOST, not_after=certs.EXPIRED), "tls-clock"),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """How each story failed, or None; they run at the same time."""
    folder = tmp_path_factory.mktemp("check")
    ended = at_tables({folder / name.replace(" ", "-"): story for name, story in STORIES.items()})
    return dict(zip(STORIES, ended.values(), strict=True))


@pytest.mark.parametrize("name", STORIES)
def test_each_part_is_told_and_what_is_wrong_is_named(failed, name):
    if failed[name]:
        raise failed[name]
