"""board.Board on the real interpreter: what its lines do while the modem's supply is off, on both boards."""

import asyncio

import pytest

from sim.modem import Modem
from sim.modem_wires import Wires
from tests.host.sim_bench import Bench, on_bench
from tools.mpy import FIRMWARE

MAIN = """
import time
from board import Board
board = Board("%s", time.ticks_ms)
print("start", board.modem_powered)
for _ in range(2):
    board.modem_power(True)
    print("on")
    time.sleep_ms(50)
    board.modem_power(False)
    print("off")
    time.sleep_ms(50)
"""


@pytest.mark.parametrize("board", ["tag-a", "lilygo-t-sim7080g"])
def test_no_line_feeds_a_modem_without_supply(tmp_path, board):
    firmware = {"boot.py": "", "main.py": MAIN % board, "board.py": (FIRMWARE / "board.py").read_text()}
    firmware["axp2101.py"] = (FIRMWARE / "lib" / "axp2101.py").read_text()
    told: list[dict[str, int]] = []

    async def story(bench: Bench) -> None:
        lines = dict.fromkeys(("modem", "modem_tx", "modem_dtr", "modem_pwrkey"), 0)

        def on_output(name: str, value: int, _: int) -> None:
            if name in lines:
                lines[name] = value
                told.append(dict(lines))

        bench.panel.on_output(on_output)
        await bench.on()
        assert await bench.line("start") == "False"
        for state in ("on", "off") * 2:
            await bench.line(state)

    on_bench(tmp_path, firmware, story, board=board)
    seen = [(each["modem"], each["modem_tx"]) for each in told]
    # The UART begins before its line is taken; then each switching: TX comes after the supply and goes before it.
    assert seen == [(0, 1), (0, 0), *[(1, 0), (1, 1), (1, 0), (0, 0)] * 2]
    assert not any(each["modem_dtr"] or each["modem_pwrkey"] for each in told)


@pytest.mark.parametrize("line", ["modem_tx", "modem_dtr"])
def test_a_modem_that_is_fed_by_a_line_is_not_cured_by_the_cut(tmp_path, line):
    async def story() -> str:
        modem = Modem(str(tmp_path / "modem"))
        wires = Wires(modem)
        for name, value in (("modem", 1), (line, 1), ("modem", 0), (line, 0), ("modem", 1), ("modem", 0)):
            wires(name, value)
        return str(modem.recorder.exchanges()).replace("<dtr high>", "").replace("<dtr low>", "")

    said = asyncio.run(story())
    assert said.count("<supply off>") == 3  # the wires begin with one
    assert said.count("<fed by its lines>") == 1
    assert said.rindex("<fed by its lines>") < said.rindex("<supply on>") < said.rindex("<supply off>")
