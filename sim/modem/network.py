"""What the modem says of the network: CPSI, CENG, CSQ, COPS, CBANDCFG, C*REG; and CFUN. Sheet 2.5, 3, 3.1, 3.2."""

from sim.modem import timings
from sim.modem.core import Core, Reply, lines
from sim.modem.line import NOT_ALLOWED, AtError, info
from sim.modem.memory import AUTO_SAVE
from sim.modem.params import Arg, Int, Word, values
from sim.modem.power import Power
from sim.modem.radio import ALL_BANDS, Radio
from sim.modem.simcard import Slot

_MODES = {0: "Low Power Mode", 1: "Online", 4: "Low Power Mode", 5: "Factory Test Mode", 7: "Offline"}
_NB_BANDS = (3, 5, 8, 20, 28)
_UNKNOWN_DBM = 99


class Network:
    """The commands; the state is the radio's."""

    def __init__(self, core: Core, radio: Radio, slot: Slot, power: Power) -> None:
        self._core, self._radio, self._slot, self._power = core, radio, slot, power

    # Functionality

    async def cfun(self, level: int, reset: int | None) -> Reply:
        """AT+CFUN. 0 is not stored; 7 is, and is left by 6 or a reset only (sheet 2.5)."""
        if reset and level == 1:
            self._core.memory.set("cfun", 1, AUTO_SAVE)
            return Reply(final=b"", then=lambda: self._power.restart(b"", ok=True))
        if level == 6:
            self._core.memory.set("cfun", 1, AUTO_SAVE)
            return Reply(then=lambda: self._power.restart(b"\xff"))
        now = self._radio.cfun
        if now == 7 and level != 7:
            raise AtError(NOT_ALLOWED)
        if level == now:
            return Reply()
        if level == 0:
            self._core.memory.set("cfun", 0)
            self._radio.look()
            self._slot.stop()
        else:
            self._core.memory.set("cfun", level)  # over a 0 that is not stored
            self._core.memory.set("cfun", level, AUTO_SAVE)
            self._radio.look()
        await self._core.wait(timings.CFUN)

        def then() -> None:
            if now == 0 and level != 0:
                self._slot.start()
            if level == 1:
                self._radio.start()

        return Reply(then=then)

    # The cell

    def cpsi(self) -> Reply:
        """AT+CPSI?: two fields only right after registration [T30]."""
        radio, cell = self._radio, self._radio.cell
        mode = _MODES.get(radio.cfun, "Online")
        if not radio.attached or cell is None:
            return lines(f"+CPSI: NO SERVICE,{mode}")
        if self._core.now_ms - radio.registered_ms < timings.CPSI_SHORT.ms:
            return lines(f"+CPSI: LTE CAT-M1,{mode}")
        place = f"{cell.plmn},0x{cell.tac:04X},{cell.cell},{cell.pci},EUTRAN-BAND{cell.band},{cell.earfcn}"
        signal = f"{cell.rsrq_db},{cell.rsrp_dbm},{cell.rssi_dbm},{cell.rssnr}"
        return lines(f"+CPSI: LTE CAT-M1,{mode},{place},5,5,{signal}")

    def ceng_read(self) -> Reply:
        """AT+CENG?: tac and cell id are decimal here; an empty line behind the header [T16]."""
        cell = self._radio.cell
        mode, dump = self._core.memory.get("ceng", (0, 0))
        if not self._radio.attached or cell is None:
            return lines(f"+CENG: {mode},{dump},0,NO SERVICE")
        mcc, mnc = cell.plmn.split("-")
        sinr = 2 * cell.rssnr - 20
        said = [f"+CENG: {mode},{dump},{1 + len(cell.neighbours)},LTE CAT-M1", ""]
        own = f"{cell.earfcn},{cell.pci},{cell.rsrp_dbm},{cell.rssi_dbm},{cell.rsrq_db},{sinr}"
        said.append(f'+CENG: 0,"{own},{cell.tac},{cell.cell},{mcc},{mnc},255"')
        for number, neighbour in enumerate(cell.neighbours, 1):
            said.append(f'+CENG: {number},"{",".join(map(str, neighbour))}"')
        return lines(*said)

    def ceng(self, mode: int, dump: int | None) -> None:
        self._core.memory.set("ceng", (mode, dump or 0))

    def csq(self) -> Reply:
        cell = self._radio.cell
        heard = cell is not None and self._radio.cfun == 1 and self._radio.stat != 0
        level = max(0, min(31, (cell.rssi_dbm + 113) // 2)) if heard and cell else _UNKNOWN_DBM
        return lines(f"+CSQ: {level},99")

    # Registration

    def registration(self, name: str) -> Reply:
        """AT+CREG? and the like: the mode, then what the URC says."""
        mode = self._core.memory.get(name, 0)
        return lines(f"+{name.upper()}: {mode},{self._radio.described(name)}")

    def cops_read(self) -> Reply:
        cell, mode = self._radio.cell, self._core.memory.get("cops", 0)
        if not self._radio.attached or cell is None:
            return lines(f"+COPS: {mode}")
        form = self._core.memory.get("cops_format", 0)
        name = cell.plmn.replace("-", "") if form == 2 else cell.operator
        return lines(f'+COPS: {mode},{form},"{name}",7')

    async def cops(self, mode: int, form: int | None, name: str | None, act: int | None) -> None:
        """AT+COPS: 3 sets the format, 2 leaves the network, 0, 1 and 4 look for one and wait for it a little."""
        memory = self._core.memory
        if form is not None:
            memory.set("cops_format", form)
        if mode == 3:
            return
        if mode in (1, 4) and name is None:
            raise AtError(765)
        memory.set("cops", mode, AUTO_SAVE)
        memory.set("attach", 0 if mode == 2 else 1)
        await self._core.wait(timings.COPS)
        cell = self._radio.cell
        wrong = cell is not None and name not in (None, cell.operator, cell.plmn.replace("-", ""))
        if mode == 1 and (cell is None or wrong):
            memory.set("attach", 0)
            self._radio.look()
            raise AtError(30)
        self._radio.look()

    async def cops_scan(self) -> Reply:
        """AT+COPS=?: the port is mute for a minute, what is sent meanwhile is lost [T05]."""
        await self._core.wait(timings.COPS_SCAN)
        self._core.lose_input()
        cell = self._radio.cell
        if cell is None:
            return Reply(final=b"\r\nERROR\r\n", then=self.sim_restart)
        number = cell.plmn.replace("-", "")
        stat = 2 if self._radio.attached else 1
        names = f'"{cell.operator}","{cell.operator}","{number}"'
        return lines(f"+COPS: ({stat},{names},7),,(0,1,2,3,4),(0,1,2)")

    def sim_restart(self) -> None:
        """The radio side starts anew by itself: PDP and sockets are gone (sheet 2.2 trap 4)."""
        self._core.memory.set("attach", 0)
        self._radio.look()
        self._core.memory.set("attach", 1)
        self._slot.start()

    # Bands and modes

    def bands(self, kind: str, rest: list[Arg]) -> None:
        """AT+CBANDCFG: in force at once."""
        chosen = tuple(values([Int(1, 85)] * len(rest), rest))
        key = "bands_cat_m" if kind == "CAT-M" else "bands_nb"
        known = ALL_BANDS if kind == "CAT-M" else ALL_BANDS + _NB_BANDS
        if not chosen or set(chosen) - set(known):
            raise AtError(765)
        self._core.memory.set(key, chosen, AUTO_SAVE)
        self._radio.look()

    def bands_read(self) -> Reply:
        cat_m = self._core.memory.get("bands_cat_m", ALL_BANDS)
        nb_iot = self._core.memory.get("bands_nb", _NB_BANDS)
        joined = [",".join(map(str, bands)) for bands in (cat_m, nb_iot)]
        return lines(f'+CBANDCFG: "CAT-M",{joined[0]}', f'+CBANDCFG: "NB-IOT",{joined[1]}')

    def cbc(self, supply_mv: int) -> Reply:
        """AT+CBC: measures the rail that feeds the modem, which says nothing of a battery."""
        percent = max(0, min(100, (supply_mv - 2700) * 100 // 1500))
        return lines(f"+CBC: 0,{percent},{supply_mv}")


BAND_WORD = Word("CAT-M", "NB-IOT")


def identity(revision: str, imei: str) -> Reply:
    """AT+SIMCOMATI."""
    said = (f"Revision:{revision}", "CSUB:B17V01", f"APRev:{revision},V01", "QCN:", f"IMEI:{imei}")
    return Reply(info(*said))
