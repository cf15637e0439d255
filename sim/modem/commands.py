"""
The command table: every command the modem knows, with its parameters, what it needs and the sheet's section.

A command that is not here is answered by a plain ERROR, as are CESQ and SIMEI, which the manual does not have.
"""

from collections.abc import Callable
from typing import Any

from sim.modem import files, gnss, network, pdp, power, radio, saving, simcard, sockets, tls
from sim.modem.clock import Clock
from sim.modem.core import Command, Core, Reply, lines
from sim.modem.line import NOT_ALLOWED, AtError
from sim.modem.link import MAX_BYTES
from sim.modem.memory import AUTO_SAVE, AUTO_SAVE_REBOOT, NO_SAVE
from sim.modem.params import Gap, Int, Name, Opt, Param, Rest, Str, Word

REVISION = "1951B17SIM7080"
IMEI = "860000000000017"
_CID, _FOLDER, _FILE = Int(0, sockets.MAX_ID), Int(0, 3), Name(1, 50)
_BYTES = Int(1, MAX_BYTES)
_RATES = (0, 300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 921600)


class Parts:
    """What the table's rows call."""

    slot: simcard.Slot
    radio: radio.Radio
    network: network.Network
    pdp: pdp.Pdp
    sockets: sockets.Sockets
    tls: tls.Tls
    files: files.Files
    gnss: gnss.Gnss
    clock: Clock
    saving: saving.Saving
    power: power.Power
    supply_mv: int


def _setting(
    core: Core,
    name: str,
    source: str,
    param: Param,
    default: Any,
    save: str = NO_SAVE,
    then: Callable[[], None] | None = None,
    test: str | None = None,
) -> tuple[str, Command]:
    """A command that only stores a value under its name in lower case. then: called when it changed."""
    key = name.lower().lstrip("+")

    def write(value: Any) -> None:
        before = core.memory.written(key, default)
        core.memory.set(key, value, save)
        if then and value != before:
            then()

    def read() -> Reply:
        return lines(f"{name}: {core.memory.written(key, default)}")

    return name, Command(source, write, (param,), read, test=test)


def _nothing(*_: Any) -> None:
    """Accepted, without effect here."""


def _not_allowed(*_: Any) -> None:
    raise AtError(NOT_ALLOWED)


def table(core: Core, parts: Parts) -> dict[str, Command]:
    """Return the rows, bound to this modem's parts."""
    return {
        **_basic(core, parts),
        **_network(core, parts),
        **_sockets(parts),
        **_gnss(core, parts),
        **dict(_settings(core, parts)),
    }


def _settings(core: Core, parts: Parts) -> list[tuple[str, Command]]:
    look = parts.radio.look
    return [
        _setting(core, "+CMEE", "2.3", Int(0, 2), 0, test="(0-2)"),
        _setting(core, "+IPR", "2.3", Int(*(rate for one in _RATES for rate in (one, one))), 0, AUTO_SAVE),
        _setting(core, "+CLTS", "3.5", Int(0, 1), 0, AUTO_SAVE_REBOOT),
        _setting(core, "+CFGRI", "3.8", Int(0, 2), 0, test="(0-2)"),
        _setting(core, "+CBATCHK", "2.5", Int(0, 1), 0, AUTO_SAVE),
        _setting(core, "+CNMP", "3", Int(2, 2, 13, 13, 38, 38, 51, 51), 2, AUTO_SAVE, look, "(2,13,38,51)"),
        _setting(core, "+CMNB", "3", Int(1, 3), 3, AUTO_SAVE, look, "(1-3)"),
        _setting(core, "+CPSMSTATUS", "3.6", Int(0, 1), 0, AUTO_SAVE),
    ]


def _basic(core: Core, parts: Parts) -> dict[str, Command]:
    slot = parts.slot
    revision = Command("2.3", run=lambda: lines(f"Revision:{REVISION}"))
    imei = Command("2.3", run=lambda: lines(IMEI))
    echo = Command("2.3", lambda on: core.memory.set("echo", on), (Int(0, 1),))
    return {
        "E": echo,
        "I": Command("2.3", run=lambda: lines("SIM7080G R1951"), write=_nothing, params=(Int(0, 9),)),
        "&W": Command("1", run=_nothing, write=_nothing, params=(Int(0, 0),)),
        "+CGMR": revision,
        "+GMR": revision,
        "+CGMM": Command("2.3", run=lambda: lines("SIMCOM_SIM7080")),
        "+SIMCOMATI": Command("2.3", run=lambda: network.identity(REVISION, IMEI)),
        "+CGSN": imei,
        "+GSN": imei,
        "+IFC": Command("2.3", _nothing, (Int(0, 2), Int(0, 2))),
        "+CCID": Command("2.3", run=slot.ccid),
        "+CIMI": Command("2.3", run=slot.cimi),
        "+CPIN": Command("2.3", slot.enter, (Str(4, 8), Opt(Str(4, 8))), slot.cpin),
        "+CBC": Command(
            "2.3", run=lambda: parts.network.cbc(parts.supply_mv), test="(0-2),(1-100),(voltage)"
        ),
        "+CFUN": Command(
            "2.5",
            parts.network.cfun,
            (Int(0, 1, 4, 7), Opt(Int(0, 1))),
            lambda: lines(f"+CFUN: {parts.radio.cfun}"),
            test="(0-1,4-7),(0-1)",
        ),
        "+CREBOOT": Command("2.5", run=parts.power.creboot),
        "+CPOWD": Command("2.5", parts.power.cpowd, (Int(0, 1),)),
        "+CSCLK": Command(
            "3.8",
            parts.power.csclk,
            (Int(0, 2),),
            lambda: lines(f"+CSCLK: {core.memory.get('csclk', 0)}"),
        ),
        "+CCLK": Command("3.5", parts.clock.write, (Str(17, 20),), parts.clock.read),
        "+CURCCFG": Command("2.2", _nothing, (Str(1, 20), Int(0, 1))),
    }


def _network(core: Core, parts: Parts) -> dict[str, Command]:
    net, pdp_, saver = parts.network, parts.pdp, parts.saving
    rows = {
        name: Command(
            "3",
            lambda mode, key=key: core.memory.set(key, mode),
            (Int(0, 2, 4, 4),),
            lambda key=key: net.registration(key),
            test="(0-2,4)",
        )
        for name, key in (("+CREG", "creg"), ("+CGREG", "cgreg"), ("+CEREG", "cereg"))
    }
    opt_bits = Gap(Str(8, 8))
    return {
        **rows,
        "+CSQ": Command("2.3", run=net.csq, test="(0-31,99),(0-7,99)"),
        "+CPSI": Command("3.1", read=net.cpsi),
        "+CENG": Command("3.2", net.ceng, (Int(0, 4), Opt(Int(0, 1))), net.ceng_read),
        "+COPS": Command(
            "3",
            net.cops,
            (Int(0, 4), Opt(Int(0, 2)), Opt(Str(1, 30)), Opt(Int(0, 0, 7, 7, 9, 9))),
            net.cops_read,
            scan=net.cops_scan,
            needs=("rf",),
        ),
        "+CBANDCFG": Command("3", net.bands, (network.BAND_WORD, Rest()), net.bands_read),
        "+CGATT": Command("3", pdp_.cgatt, (Int(0, 1),), pdp_.cgatt_read, needs=("rf", "sim")),
        "+CGDCONT": Command(
            "3", pdp_.cgdcont, (Int(1, 15), Word("IP", "IPV6", "IPV4V6"), Str(0, 100)), pdp_.cgdcont_read
        ),
        "+CGPADDR": Command("3", run=pdp_.cgpaddr),
        "+CGNAPN": Command("3", run=pdp_.cgnapn),
        "+CNCFG": Command(
            "3.3",
            pdp_.cncfg,
            (Int(0, 3), Int(0, 4), Opt(Str(0, 150)), Opt(Str(0, 127)), Opt(Str(0, 127)), Opt(Int(0, 3))),
            pdp_.cncfg_read,
        ),
        "+CNACT": Command("3.3", pdp_.cnact, (Int(0, 3), Int(0, 2)), pdp_.cnact_read, needs=("rf",)),
        "+CPSMS": Command(
            "3.6",
            saver.cpsms,
            (Int(0, 1), Gap(Str()), Gap(Str()), opt_bits, opt_bits),
            saver.cpsms_read,
        ),
        "+CPSMRDP": Command("3.6", run=saver.cpsmrdp),
        "+CPSMCFG": Command("3.6", saver.cpsmcfg, (Int(20, 86400), Opt(Int(0, 15)))),
        "+CEDRXS": Command(
            "3.7", saver.cedrxs, (Int(0, 2), Opt(Int(4, 5)), Opt(Str(4, 4))), saver.cedrxs_read
        ),
        "+CEDRX": Command("3.7", _nothing, (Int(2, 3), Int(0, 1), Int(0, 15), Int(0, 15))),
        "+CEDRXRDP": Command("3.7", run=saver.cedrxrdp),
        # The client in the modem refuses as firmware B17 does (sheet 5 trap 1): Obereg speaks MQTT itself.
        "+SMCONN": Command("5", run=_not_allowed),
        "+SMDISC": Command("5", run=_not_allowed),
    }


def _sockets(parts: Parts) -> dict[str, Command]:
    ca, fs = parts.sockets, parts.files
    return {
        "+CACID": Command("6", _nothing, (_CID,)),
        "+CASSLCFG": Command("6", ca.casslcfg, (_CID, sockets.SSL_WORD, Rest()), ca.casslcfg_read),
        "+CAOPEN": Command(
            "6",
            ca.caopen,
            (_CID, Int(0, 3), Word("TCP", "UDP"), Str(1, 64), Int(1, 65535), Opt(Int(0, 1))),
            needs=("rf",),
        ),
        "+CASEND": Command(
            "6",
            ca.casend,
            (_CID, Opt(_BYTES), Opt(Int(100, 10000))),
            test="(0-12),(1-1460),(100-10000)",
        ),
        "+CAACK": Command("6", ca.caack, (_CID,)),
        "+CARECV": Command("6", ca.carecv, (_CID, _BYTES), test="(0-12),(1-1460)"),
        "+CASTATE": Command("6", read=ca.castate),
        "+CACLOSE": Command("6", ca.caclose, (_CID,)),
        "+CACFG": Command("6", ca.cacfg, (sockets.CONFIG_WORD, Rest())),
        "+CASRIP": Command("6", _nothing, (Int(0, 0),)),
        "+CDNSGIP": Command(
            "6", ca.cdnsgip, (Str(1, 254), Opt(Int(0, 10)), Opt(Int(0, 60000))), needs=("rf",)
        ),
        "+CSSLCFG": Command("4", parts.tls.configure, (tls.KEY_WORD, Rest()), read=_nothing),
        "+CFSINIT": Command("4", run=fs.init),
        "+CFSTERM": Command("4", run=fs.term, needs=("files",)),
        "+CFSWFILE": Command(
            "4",
            fs.write,
            (_FOLDER, _FILE, Int(0, 1), Int(1, 10240), Int(100, 10000)),
            needs=("files",),
        ),
        "+CFSGFIS": Command("4", fs.size, (_FOLDER, _FILE), needs=("files",)),
        "+CFSRFILE": Command(
            "4",
            fs.read,
            (_FOLDER, _FILE, Int(0, 1), Int(1, 10240), Int(0, 1 << 20)),
            needs=("files",),
        ),
        "+CFSDFILE": Command("4", fs.delete, (_FOLDER, _FILE), needs=("files",)),
        "+CFSREN": Command("4", fs.rename, (_FOLDER, _FILE, _FILE), needs=("files",)),
        "+CFSGFRS": Command("4", read=fs.free, needs=("files",)),
    }


def _gnss(core: Core, parts: Parts) -> dict[str, Command]:
    sky = parts.gnss

    def configure(key: str, rest: Any) -> None:
        if sky.on:
            raise AtError(NOT_ALLOWED)  # sheet 8.1 trap 6: stop before configuring
        if key == "TIMEOUT" and len(rest) == 1:
            core.memory.set("sgns_timeout", Int(10_000, 180_000).value(rest[0]))

    words = ("MODE", "TIMEOUT", "THRESHOLD", "OUTURC", "EXTRAINFO", "NMEAOUTPORT", "NMEATYPE", "ADSS")
    switch = Int(0, 1)
    return {
        "+CGNSPWR": Command("8", sky.power, (switch,), lambda: lines(f"+CGNSPWR: {int(sky.on)}")),
        "+CGNSINF": Command("8.1", run=sky.inf),
        "+CGNSCOLD": Command("8", run=sky.forget),
        "+CGNSWARM": Command("8", run=sky.again),
        "+CGNSHOT": Command("8", run=sky.again),
        "+CGNSMOD": Command("8", _nothing, (Int(1, 1), switch, switch, switch, switch)),
        "+SGNSCFG": Command("8", configure, (Word(*words), Rest())),
        "+SGNSCMD": Command(
            "8", sky.sgnscmd, (Int(0, 2), Opt(Int(0, 60000)), Opt(Int(0, 1000)), Opt(Int(0, 3)))
        ),
    }
