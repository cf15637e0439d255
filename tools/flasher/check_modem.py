"""The modem, its SIM, the network, and the broker over it: tag/check_lte.py asks, here stands what it means."""

import time
from functools import partial
from typing import Any

from tools.flasher.check_call import called
from tools.flasher.errors import FlashError
from tools.flasher.findings import Findings, Part
from tools.flasher.repl import Repl
from tools.flasher.site import Site

# The driver's own deadlines add up to less (firmware/lib/sim7080.py).
_WAKE_S = 120
_PDP_S = 420
_CALL_S = 80
_BLANK_S = 60
# What the modem calls under-voltage (AT manual 5.2.15); and how much a battery may sink when the modem sends.
_LEAST_MV = 2800
_SAG_MV = 400
# A network's time and this computer's may differ by that.
_UTC_S = 120
# Below, LTE-M repeats what it says many times.
_WEAK_DBM = -115

# What the driver says of the SIM: first match counts.
_SIM = (("no SIM card", "sim-missing"), ("PIN", "sim-pin"), ("PUK", "sim-puk"), ("SIM", "sim-bad"))
# What it says once the SIM is ready; the search is a step of its own.
_LATER = ("no network found", "the network refuses")


def modem(tag: Repl, site: Site, found: Findings, search_s: int) -> None:
    """Try modem, sim, registration, pdp, network_time, broker_modem."""
    lte = _Lte(tag, site)
    found.part("modem", lte.wake, "board")
    found.part("sim", lte.sim, "modem")
    found.part("registration", partial(lte.register, search_s), "sim")
    found.part("pdp", partial(lte.attach, found), "registration")
    found.part("network_time", lte.utc, "registration")
    found.part("broker_modem", lte.call, "settings", "pdp")


class _Lte:
    def __init__(self, tag: Repl, site: Site) -> None:
        self._tag = tag
        self._apn = site.config.get("apn")
        self._bands = site.config.get("bands")
        self._site = site
        self._seen: dict[str, Any] = {}

    def _step(self, part: Part, step: str, *given: object, within_s: float = 30.0) -> dict[str, Any]:
        seen: dict[str, Any] = self._tag.call(
            "check_lte", step, *given, deadline_s=within_s + 10, on_line=part.hear
        )
        return seen

    def wake(self, part: Part) -> None:
        """It answers: IMEI and firmware."""
        if self._apn is None:
            return part.lacks("the settings do not use it (no `apn` in site.toml)")
        self._tag.soft_reset()
        self._tag.call("check_call")
        if not self._step(part, "begin", self._site.board, self._apn, self._bands)["there"]:
            return part.lacks("this board has none")
        part.wait("switched on; it answers within 5 s, or is given up after 40 s")
        self._seen = seen = self._step(part, "wake", False, within_s=_WAKE_S)
        if not seen["imei"]:
            raise FlashError("modem-mute")
        _supplied(seen)
        text = f"IMEI {seen['imei']}, firmware {seen['firmware']}, supply {seen['supply_mv']} mV"
        return part.ok(text, **{name: seen[name] for name in ("imei", "firmware", "supply_mv")})

    def sim(self, part: Part) -> None:
        """There is one, and it asks for no PIN."""
        seen = self._seen
        if _SIM[0][0] in seen["text"]:
            # One that was put in after power-on is seen now.
            part.wait("none seen; the modem is started anew, which takes 20 s")
            seen = self._step(part, "wake", True, within_s=_WAKE_S)
        text = seen["text"]
        for sign, kind in _SIM:
            if sign in text and not text.startswith(_LATER):
                raise FlashError(kind, text=text)
        if text and not text.startswith(_LATER):
            raise FlashError("part", part="modem", text=text, cure="Repeat. If it stays, report it so.")
        self._seen = seen
        part.ok(f"ICCID {seen['iccid']}, its PIN is off", iccid=seen["iccid"])

    def register(self, search_s: int, part: Part) -> None:
        """A network lets it in."""
        part.wait(f"searching for an LTE-M network, up to {search_s} s; 10 s are usual")
        seen = self._step(part, "register", search_s * 1000, within_s=search_s + 20)
        if seen["stat"] not in (1, 5):
            if seen["stat"] == 3:
                raise FlashError("sim-refused", iccid=self._seen["iccid"])
            if seen["signal"] == 99:
                raise FlashError("no-signal", seconds=search_s)
            self._why(seen["signal"], search_s, part)
        figures = {name: value for name, value in seen.items() if name != "stat"}
        words = ["roaming" if seen["roaming"] else "at home"]
        if "rsrp_dbm" in seen:
            words += [f"network {seen['network']}", f"band {seen['band']}", f"RSRP {seen['rsrp_dbm']} dBm"]
            if seen["rsrp_dbm"] < _WEAK_DBM:
                words.append("which is weak: look at the antenna")
        else:
            words.append("the modem does not name its cell")
        part.ok(", ".join(words), **figures)

    def _why(self, signal: int, search_s: int, part: Part) -> None:
        """It is heard and does not let us in: is it the APN? FlashError in any case."""
        part.wait(f"heard, but not let in; tried without the APN, up to {_BLANK_S} s")
        limit_s = min(_BLANK_S, search_s)
        seen = self._step(part, "blank", limit_s * 1000, within_s=limit_s + 90)
        if seen["registered"]:
            hint = (
                f"; it gives {seen['given']} by itself"
                if seen["given"]
                else "; it lets the tag in without one"
            )
            raise FlashError("apn", apn=self._apn or "(none)", hint=hint)
        raise FlashError("not-let-in", signal=signal)

    def attach(self, found: Findings, part: Part) -> None:
        """A context with an address; the modem sends now, so this is when a weak supply gives way."""
        part.wait("asking for an address, up to 5 minutes; 1 s is usual")
        seen = self._step(part, "attach", 30_000, within_s=_PDP_S)
        if "refuses the APN" in seen["text"]:
            raise FlashError("apn", apn=self._apn or "(none)", hint="")
        if seen["text"] or not seen["address"]:
            text = seen["text"] or "there is no address"
            raise FlashError("part", part="pdp", text=text, cure="Repeat. If it stays, report it so.")
        _supplied(seen)
        rest_mv = (found.figures.get("battery") or {}).get("mv", 0)
        sag_mv = rest_mv - seen["battery_mv"]
        if sag_mv > _SAG_MV:
            text = f"the battery sinks from {rest_mv} to {seen['battery_mv']} mV when the modem sends"
            raise FlashError("brown-out", text=text)
        figures = {name: seen[name] for name in ("address", "battery_mv", "supply_mv")}
        part.ok(f"address {seen['address']}, battery {seen['battery_mv']} mV meanwhile", **figures)

    def utc(self, part: Part) -> None:
        """The network's time, against this computer's: an installation takes the earliest time from here."""
        utc_s = self._step(part, "time")["utc_s"]
        if utc_s is None:
            return part.lacks("the network has not told it; a new modem hears it from its second start on")
        off_s = round(utc_s - time.time())
        if abs(off_s) > _UTC_S:
            raise FlashError(
                "clock-bad",
                text=f"the network's time and this computer's are {abs(off_s)} s apart",
                cure="Set this computer's clock, then run: flash.py install",
            )
        return part.ok(f"{off_s:+d} s from this computer's", off_s=off_s)

    def call(self, part: Part) -> None:
        """TLS with our CA in the modem, and the broker behind it."""
        broker = self._site.config["broker"]
        tls, name = broker.get("tls", True), broker.get("name") or broker["host"]
        part.wait(f"calling {broker['host']}, up to {2 * _CALL_S} s; 4 s are usual")
        given = (broker["host"], broker.get("port", 8883), tls, name, _CALL_S * 1000)
        called(part, self._site, self._step(part, "call", *given, within_s=4 * _CALL_S))


def _supplied(seen: dict[str, Any]) -> None:
    if 0 < seen["supply_mv"] < _LEAST_MV:
        raise FlashError(
            "brown-out", text=f"the modem has {seen['supply_mv']} mV; below {_LEAST_MV} it fails"
        )
