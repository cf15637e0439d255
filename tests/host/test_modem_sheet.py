"""
The emulated modem against the AT fact sheet, to the byte and without any driver.

Each row: the sheet's section and what it says, the state of the modem, then what is sent and what must be heard next.
"""

import re

import pytest

from sim.modem import Card, Coverage
from tests.host.modem_bench import ERROR, OK, Host, cme, said, speak, until, urc

ANY = re.compile(rb"(.*?\r\n)?OK\r\n", re.DOTALL)
EMPTY = '+CNACT: {},0,"0.0.0.0"'

SEARCHING_CSQ = said("+CSQ: 25,99")


def pattern(text: str) -> re.Pattern[bytes]:
    return re.compile(b"\r\n" + text.encode() + b"\r\n\r\nOK\r\n")


LINES = [
    ("1 echo is the command and its CR", "factory", [("AT+CSQ", b"AT+CSQ\r" + said("+CSQ: 25,99"))]),
    ("1 an LF behind the CR is tolerated", "factory", [(b"AT\r\nAT\r\n", b"AT\r\r\nOK\r\nAT\r\r\nOK\r\n")]),
    ("1 lower case is a command too", "on", [("at+cpin?", said("+CPIN: READY"))]),
    (
        "1 several lines have no empty line between",
        "on",
        [("AT+CNACT?", said(*(EMPTY.format(n) for n in range(4))))],
    ),
    ("1 559 characters are a line", "on", [("AT+CSQ;" + " " * 552 + "E0", SEARCHING_CSQ)]),
    ("1 560 are an ERROR and nothing is done", "on", [("ATE1;" + " " * 555 + "E1", ERROR), ("AT", OK)]),
    ("1 39 commands are a line", "on", [("AT" + "E0" * 39, OK)]),
    ("1 40 are an ERROR and nothing is done", "on", [("ATE1" + "E0" * 38 + "E1", ERROR), ("AT", OK)]),
    ("1 ; joins", "on", [("AT+CSQ;+CMEE?", b"\r\n+CSQ: 25,99\r\n" + said("+CMEE: 1"))]),
    (
        "1 the first refused one ends a line",
        "on",
        [("AT+CSQ;+CMEE=7;+CSQ", b"\r\n+CSQ: 25,99\r\n" + cme(792))],
    ),
    (
        "1 what waits is echoed after the answer",
        "factory",
        [(b"AT+CGSN\rAT\r", b"AT+CGSN\r" + said("860000000000017") + b"AT\r" + OK)],
    ),
    ("1.4 CMEE=0 is a plain ERROR", "on", [("AT+CMEE=0", OK), ("AT+CACLOSE=3", ERROR)]),
    ("1.4 CMEE=1 is a number", "on", [("AT+CACLOSE=3", cme(3))]),
    (
        "1.4 CMEE=2 is lower case here",
        "on",
        [("AT+CMEE=2", OK), ("AT+CACLOSE=3", urc("+CME ERROR: operation not allowed"))],
    ),
    (
        "1.5 key words in both cases",
        "on",
        [('AT+CSSLCFG="sslversion",0,3', OK), ('AT+CSSLCFG=SNI,0,"a.b"', OK)],
    ),
    (
        "2.3 ATE0 itself is still echoed",
        "factory",
        [("ATE0", b"ATE0\r" + OK), ("AT", OK), ("ATE1", OK), ("AT", b"AT\r" + OK)],
    ),
    ("2.3 CMEE is 0 first", "factory", [("AT+CMEE?", b"AT+CMEE?\r" + said("+CMEE: 0"))]),
    (
        "2.3 the rate is automatic first",
        "on",
        [("AT+IPR?", said("+IPR: 0")), ("AT+IPR=115200", OK), ("AT+IPR?", said("+IPR: 115200"))],
    ),
    (
        "2.3 identity",
        "on",
        [
            ("AT+CGMR", said("Revision:1951B17SIM7080")),
            ("AT+GMR", said("Revision:1951B17SIM7080")),
            ("AT+CGMM", said("SIMCOM_SIM7080")),
            ("ATI", said("SIM7080G R1951")),
        ],
    ),
    (
        "2.3 numbers are bare",
        "on",
        [
            ("AT+CGSN", said("860000000000017")),
            ("AT+CCID", said("8900100000000000017F")),
            ("AT+CIMI", said("001010123456789")),
        ],
    ),
    (
        "2.3 what the manual does not have",
        "on",
        [("AT+SIMEI", ERROR), ("AT+CESQ", ERROR), ("AT+CGDATA", ERROR)],
    ),
    ("2.3 CBC is the rail's voltage", "on", [("AT+CBC", said("+CBC: 0,20,3000"))]),
    ("2.3 CSQ knows nothing", "air", [("AT+CSQ", said("+CSQ: 99,99"))]),
    ("2.5 CFUN=?", "on", [("AT+CFUN=?", said("+CFUN: (0-1,4-7),(0-1)"))]),
    (
        "2.5 CFUN=0 says NOT READY before OK",
        "on",
        [("AT+CFUN=0", urc("+CPIN: NOT READY") + OK), ("AT+CFUN?", said("+CFUN: 0")), ("AT+CPIN?", cme(772))],
    ),
    (
        "2.5 CFUN=1 says READY after OK",
        "on",
        [
            ("AT+CFUN=0", urc("+CPIN: NOT READY") + OK),
            ("AT+CFUN=1", OK + urc("+CPIN: READY") + urc("SMS Ready")),
        ],
    ),
    (
        "2.5 CFUN=7 is left by 6 only",
        "on",
        [("AT+CFUN=7", OK), ("AT+CFUN=1", cme(3)), ("AT+CPSI?", said("+CPSI: NO SERVICE,Offline"))],
    ),
    (
        "2.4 797 with CFUN=4",
        "on",
        [("AT+CFUN=4", OK), ("AT+CNACT=0,1", cme(797)), ('AT+CAOPEN=0,0,"TCP","h",1', cme(797))],
    ),
]
NETWORK = [
    ("3 CSQ is 99 of LTE's ber", "net", [("AT+CSQ", said("+CSQ: 25,99"))]),
    (
        "3 COPS",
        "net",
        [
            ("AT+COPS?", said('+COPS: 0,0,"Test Network",7')),
            ("AT+COPS=3,2", OK),
            ("AT+COPS?", said('+COPS: 0,2,"00101",7')),
        ],
    ),
    (
        "3 COPS=2 leaves, COPS=0 returns",
        "net",
        [
            ("AT+CEREG=1", OK),
            ("AT+COPS=2", re.compile(rb"\r\n\+CEREG: 0\r\n\r\nOK\r\n")),
            ("AT+COPS?", said("+COPS: 2")),
            ("AT+COPS=0", re.compile(rb"(\r\nOK\r\n|\r\n\+CEREG: 2\r\n){2}")),
            ("", urc("+CEREG: 1")),
        ],
    ),
    (
        "3 COPS=? without service is mute, loses what comes, restarts the SIM",
        "air",
        [(b"AT+COPS=?\rAT\r", ERROR + urc("+CPIN: READY") + urc("SMS Ready"))],
    ),
    (
        "3 COPS=? with service",
        "net",
        [("AT+COPS=?", said('+COPS: (2,"Test Network","Test Network","00101",7),,(0,1,2,3,4),(0,1,2)'))],
    ),
    (
        "3 registration by three commands",
        "net",
        [
            ("AT+CREG?", said("+CREG: 0,1")),
            ("AT+CGREG?", said("+CGREG: 0,1")),
            ("AT+CEREG?", said("+CEREG: 0,1")),
        ],
    ),
    (
        "3 CEREG=2 has a rac",
        "net",
        [("AT+CEREG=2", OK), ("AT+CEREG?", said('+CEREG: 2,1,"07D0","00","B77B0A",7'))],
    ),
    (
        "3 CEREG=4 has none, and the timers",
        "net",
        [("AT+CEREG=4", OK), ("AT+CEREG?", said('+CEREG: 4,1,"07D0","B77B0A",7,,,"00000000","00000000"'))],
    ),
    ("3 roaming is 5", "roaming", [("AT+CEREG?", said("+CEREG: 0,5"))]),
    (
        "3 CGATT",
        "net",
        [
            ("AT+CGATT?", said("+CGATT: 1")),
            ("AT+CGATT=0", OK),
            ("AT+CGATT?", said("+CGATT: 0")),
            ("AT+CGATT=1", OK),
            ("AT+CEREG?", said("+CEREG: 0,1")),
        ],
    ),
    (
        "3 CGDCONT",
        "on",
        [
            ("AT+CGDCONT?", said('+CGDCONT: 1,"IP","","0.0.0.0",0,0,0')),
            ('AT+CGDCONT=1,"IP","a.b"', OK),
            ("AT+CGDCONT?", said('+CGDCONT: 1,"IP","a.b","0.0.0.0",0,0,0')),
        ],
    ),
    (
        "3 CGPADDR and CGNAPN",
        "net",
        [("AT+CGPADDR", said("+CGPADDR: 1,10.0.0.2")), ("AT+CGNAPN", said('+CGNAPN: 1,"obereg"'))],
    ),
    ("3 CGNAPN of no network", "on", [("AT+CGNAPN", said('+CGNAPN: 0,""'))]),
    (
        "3 CBANDCFG reads two lines",
        "on",
        [
            ('AT+CBANDCFG="CAT-M",3,8,20', OK),
            ("AT+CBANDCFG?", said('+CBANDCFG: "CAT-M",3,8,20', '+CBANDCFG: "NB-IOT",3,5,8,20,28')),
        ],
    ),
    (
        "3.1 CPSI",
        "net",
        [
            ("SLEEP", b""),
            (
                "AT+CPSI?",
                said(
                    "+CPSI: LTE CAT-M1,Online,001-01,0x07D0,12024586,211,EUTRAN-BAND20,6300,5,5,-11,-89,-63,15"
                ),
            ),
        ],
    ),
    ("3.1 CPSI without service", "on", [("AT+CPSI?", said("+CPSI: NO SERVICE,Online"))]),
    (
        "3.2 CENG: an empty line behind the header",
        "net",
        [
            ("AT+CENG=1,1", OK),
            (
                "AT+CENG?",
                said(
                    "+CENG: 1,1,2,LTE CAT-M1",
                    "",
                    '+CENG: 0,"6300,211,-89,-63,-11,10,2000,12024586,001,01,255"',
                    '+CENG: 1,"6300,87,-98,-74,-16,3"',
                ),
            ),
        ],
    ),
    ("3.2 CENG without service", "on", [("AT+CENG=1,1", OK), ("AT+CENG?", said("+CENG: 1,1,0,NO SERVICE"))]),
    (
        "3.3 CNCFG reads four lines",
        "on",
        [
            ('AT+CNCFG=0,1,"a"', OK),
            ("AT+CNCFG?", said('+CNCFG: 0,1,"a","","",0', *(f'+CNCFG: {n},0,"","","",0' for n in (1, 2, 3)))),
        ],
    ),
    (
        "3.3 a missing APN is an ERROR and the old one stays",
        "on",
        [
            ('AT+CNCFG=0,1,"a"', OK),
            ("AT+CNCFG=0,1,", cme(793)),
            ("AT+CNCFG?", re.compile(rb'\r\n\+CNCFG: 0,1,"a".*OK\r\n', re.DOTALL)),
            ('AT+CNCFG=0,1,""', OK),
        ],
    ),
    (
        "3.3 CNACT: OK first, then the URC",
        "net",
        [
            ("AT+CNACT=0,1", OK + urc("+APP PDP: 0,ACTIVE")),
            ("AT+CNACT?", said('+CNACT: 0,1,"10.0.0.2"', *(EMPTY.format(n) for n in (1, 2, 3)))),
            ("AT+CNACT=0,0", OK + urc("+APP PDP: 0,DEACTIVE")),
        ],
    ),
    ("3.3 CNACT without service: OK, DEACTIVE", "on", [("AT+CNACT=0,1", OK + urc("+APP PDP: 0,DEACTIVE"))]),
    (
        "3.3 a wrong APN: OK, DEACTIVE",
        "net",
        [('AT+CNCFG=0,1,"wrong"', OK), ("AT+CNACT=0,1", OK + urc("+APP PDP: 0,DEACTIVE"))],
    ),
    (
        "3.3 CNACT=0,0 on an inactive one: operation failed",
        "on",
        [
            ("AT+CNACT=0,0", cme(767)),
            ("AT+CMEE=2", OK),
            ("AT+CNACT=0,0", urc("+CME ERROR: operation failed")),
        ],
    ),
    ("3.3 CNACT=0,1 on an active one", "pdp", [("AT+CNACT=0,1", cme(767))]),
    (
        "3.3 attached is not activated",
        "net",
        [("AT+CGATT?", said("+CGATT: 1")), ('AT+CAOPEN=0,0,"TCP","127.0.0.1",9', said("+CAOPEN: 0,1"))],
    ),
    ("3.5 a cold clock says 1980", "on", [("AT+CCLK?", pattern(r'\+CCLK: "80/01/06,00:00:\d\d\+00"'))]),
    (
        "3.5 CCLK is local time with quarters of an hour",
        "on",
        [('AT+CCLK="26/11/21,12:00:00+08"', OK), ("AT+CCLK?", pattern(r'\+CCLK: "26/11/21,12:00:0\d\+08"'))],
    ),
    ("3.5 no such date", "on", [('AT+CCLK="26/13/21,12:00:00+08"', cme(765))]),
    (
        "3.6 CPSMS",
        "on",
        [
            ("AT+CPSMS?", said('+CPSMS: 0,,,"00000000","00000000"')),
            ('AT+CPSMS=1,,,"01100000","00000000"', OK),
            ("AT+CPSMS?", said('+CPSMS: 1,,,"01100000","00000000"')),
        ],
    ),
    (
        "3.6 CPSMRDP in seconds",
        "net",
        [
            ('AT+CPSMS=1,,,"01000111","00100100"', OK),
            ("AT+CPSMRDP", said("+CPSMRDP: 1,240,252000,240,252000,3600")),
        ],
    ),
    (
        "3.7 CEDRXS that was never set is a plain ERROR",
        "on",
        [("AT+CEDRXS?", ERROR), ("AT+CEDRXRDP", said("+CEDRXRDP: 0"))],
    ),
    (
        "3.7 eDRX granted",
        "net",
        [
            ('AT+CEDRXS=2,4,"0010"', OK + urc('+CEDRXP: 4,"0010","0010","0000"')),
            ("AT+CEDRXRDP", said('+CEDRXRDP: 4,"0010","0010","0000"')),
            ("AT+CEDRXS=0", OK),
            ("AT+CEDRXRDP", said("+CEDRXRDP: 0")),
        ],
    ),
]
FILES = [
    ("4 all need CFSINIT", "on", [('AT+CFSGFIS=3,"a"', cme(3)), ('AT+CFSWFILE=3,"a",0,4,1000', cme(3))]),
    (
        "4 CFSINIT twice",
        "on",
        [("AT+CFSINIT", OK), ("AT+CFSINIT", cme(3)), ("AT+CFSTERM", OK), ("AT+CFSTERM", cme(3))],
    ),
    (
        "4 DOWNLOAD, bytes, OK; size, content, append, rename, delete",
        "on",
        [
            ("AT+CFSINIT", OK),
            ('AT+CFSWFILE=3,"a.crt",0,4,10000', urc("DOWNLOAD")),
            (b"a\r\nb", OK),
            ('AT+CFSGFIS=3,"a.crt"', said("+CFSGFIS: 4")),
            ('AT+CFSWFILE=3,"a.crt",1,1,10000', urc("DOWNLOAD")),
            (b"c", OK),
            ('AT+CFSREN=3,"a.crt","b.crt"', OK),
            ('AT+CFSRFILE=3,"b.crt",0,10,0', said("a", "bc")),
            ("AT+CFSGFRS?", pattern(r"\+CFSGFRS: \d+")),
            ('AT+CFSDFILE=3,"b.crt"', OK),
            ('AT+CFSGFIS=3,"b.crt"', cme(22)),
        ],
    ),
    (
        "4 the echo does not apply to the bytes",
        "factory",
        [
            ("AT+CFSINIT", b"AT+CFSINIT\r" + OK),
            ("AT+CFSWFILE=3,x,0,3,10000", b"AT+CFSWFILE=3,x,0,3,10000\r" + urc("DOWNLOAD")),
            (b"abc", OK),
        ],
    ),
    (
        "4 too few bytes: 3 after a while",
        "on",
        [("AT+CFSINIT", OK), ('AT+CFSWFILE=3,"a",0,9,1000', urc("DOWNLOAD")), (b"abc", cme(3)), ("AT", OK)],
    ),
    ("4 10240 bytes are the limit", "on", [("AT+CFSINIT", OK), ('AT+CFSWFILE=3,"a",0,10241,1000', cme(792))]),
    ("4 CONVERT 1 needs its key", "on", [('AT+CSSLCFG="CONVERT",1,"cert.crt"', cme(3))]),
    (
        "4 CONVERT of no certificate",
        "on",
        [
            ("AT+CFSINIT", OK),
            ('AT+CFSWFILE=3,"a",0,3,10000', urc("DOWNLOAD")),
            (b"abc", OK),
            ('AT+CSSLCFG="CONVERT",2,"a"', cme(3)),
            ('AT+CSSLCFG="CONVERT",2,"b"', cme(3)),
        ],
    ),
    (
        "4 CSSLCFG? says OK only, CTXINDEX shows",
        "on",
        [
            ("AT+CSSLCFG?", OK),
            ('AT+CSSLCFG="SSLVERSION",1,3', OK),
            ('AT+CSSLCFG="CTXINDEX",1', said("+CSSLCFG: 1,3," + "0x0000," * 8 + '0,1,""')),
        ],
    ),
    ("5 the MQTT client of this firmware refuses", "on", [("AT+SMCONN", cme(3)), ("AT+SMDISC", cme(3))]),
]
OFF = "+CGNSINF: 0" + "," * 17
GNSS = [
    ("8.1 off: 18 empty fields", "on", [("AT+CGNSINF", said(OFF)), ("AT+CGNSPWR?", said("+CGNSPWR: 0"))]),
    (
        "8.1 no fix has numbers all the same",
        "on",
        [
            ("AT+CGNSPWR=1", OK),
            (
                "AT+CGNSINF",
                said("+CGNSINF: 1,,,0.000000,0.000000,-18.000,,,1,,0.1,0.1,0.1,,,,9999000.0,6144.0"),
            ),
        ],
    ),
    (
        "8.1 stop before configuring",
        "on",
        [
            ("AT+CGNSPWR=1", OK),
            ('AT+SGNSCFG="TIMEOUT",10000', cme(3)),
            ("AT+CGNSPWR=0", OK),
            ('AT+SGNSCFG="TIMEOUT",10000', OK),
        ],
    ),
    (
        "8 one shot without a sky: timeout",
        "on",
        [("AT+SGNSCMD=1,0", OK + urc("+SGNSERR: 10")), ("AT+SGNSCMD=0", OK)],
    ),
    ("8 one constellation beside the own one", "on", [("AT+CGNSMOD=1,1,0,0,0", OK)]),
]
ROWS = LINES + NETWORK + FILES + GNSS


@pytest.mark.parametrize(("level", "steps"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_modem_says_what_the_sheet_says(tmp_path, level, steps):
    options = {"air": {"coverage": None}, "roaming": {"coverage": Coverage(roaming=True)}}.get(level, {})

    async def story(host: Host) -> None:
        if level == "roaming":
            await roam(host)
        for sent, heard in steps:
            if sent == "SLEEP":
                await host.silence(2000)
            elif sent:
                host.send(sent if isinstance(sent, bytes) else sent.encode() + b"\r")
            await host.expect(heard)

    speak(tmp_path, {"air": "on", "roaming": "on"}.get(level, level), story, speed=200, **options)


async def roam(host: Host) -> None:
    for command in ("AT+CNMP=38", "AT+CEREG=1", "AT+CMNB=1"):
        assert await host.ask(command) == OK
    await host.find(urc("+CEREG: 5"))
    assert await host.ask("AT+CEREG=0") == OK


SETTINGS = {
    "3 CMNB=1 is needed": ["AT+CNMP=38"],
    "3 the band is needed": ["AT+CNMP=38", 'AT+CBANDCFG="CAT-M",3,8', "AT+CMNB=1"],
    "3 LTE is needed": ["AT+CNMP=13", "AT+CMNB=1"],
}


@pytest.mark.parametrize("commands", SETTINGS.values(), ids=SETTINGS.keys())
def test_with_wrong_settings_it_searches_for_ever(tmp_path, commands):
    async def story(host: Host) -> None:
        for command in commands:
            assert await host.ask(command) == OK
        await host.silence(60_000)
        assert await host.ask("AT+CEREG?") == said("+CEREG: 0,2")
        assert await host.ask("AT+CSQ") == said("+CSQ: 25,99")

    speak(tmp_path, "on", story)


def test_a_wrong_apn_of_context_1_blocks_until_cfun_0_and_1(tmp_path):
    async def story(host: Host) -> None:
        for command in ("AT+CMNB=3", 'AT+CGDCONT=1,"IP","wrong"', "AT+CFUN=4", "AT+CFUN=1", "AT+CMNB=1"):
            assert await host.ask(command) == OK
        await host.silence(30_000)
        assert await host.ask('AT+CGDCONT=1,"IP","obereg"') == OK
        await host.silence(30_000)
        assert await host.ask("AT+CEREG?") == said("+CEREG: 0,2")
        await host.ask("AT+CFUN=0")
        assert await host.ask("AT+CFUN=1;+CEREG=1") == OK
        await host.find(urc("+CEREG: 1"))
        await host.silence(2000)

    speak(tmp_path, "net", story)


def test_right_after_registration_cpsi_has_two_fields(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask("AT+CFUN=4") == OK
        assert await host.ask("AT+CFUN=1;+CEREG=1") == OK
        await host.find(urc("+CEREG: 1"))
        assert await host.ask("AT+CPSI?") == said("+CPSI: LTE CAT-M1,Online")

    speak(tmp_path, "net", story, speed=20)


def test_network_time_needs_a_restart_and_comes_with_its_missing_quote(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask("AT+CLTS=1") == OK
        assert await host.ask("AT+IPR=115200") == OK
        await host.ask("AT+CFUN=1,1")
        heard = await host.find(urc("DST: 0"))
        assert b"PSUTTZ" not in heard
        once = rb'\r\n\*PSUTTZ: \d\d/\d\d/\d\d,\d\d:\d\d:\d\d","\+08",0\r\n'
        await host.expect(re.compile(once + once))
        heard = await host.ask("AT+CCLK?")
        assert re.search(rb'\+CCLK: "[2-7]\d/\d\d/\d\d,\d\d:\d\d:\d\d\+08"', heard)

    speak(tmp_path, "net", story)


SIMS = {
    "2.2 no SIM": (None, urc("+CPIN: NOT INSERTED"), [("AT+CPIN?", cme(10)), ("AT+CCID", cme(10))]),
    "2.3 PIN": (
        Card(pin="1234"),
        urc("+CPIN: SIM PIN"),
        [
            ("AT+CPIN?", said("+CPIN: SIM PIN")),
            ("AT+CIMI", cme(11)),
            ('AT+CPIN="9999"', cme(16)),
            ('AT+CPIN="1234"', OK + urc("+CPIN: READY") + urc("SMS Ready")),
            ("AT+CPIN?", said("+CPIN: READY")),
        ],
    ),
    "2.3 PUK after three": (
        Card(pin="1234"),
        urc("+CPIN: SIM PIN"),
        [
            ('AT+CPIN="9999"', cme(16)),
            ('AT+CPIN="9999"', cme(16)),
            ('AT+CPIN="9999"', cme(12)),
            ("AT+CPIN?", said("+CPIN: SIM PUK")),
        ],
    ),
}


@pytest.mark.parametrize(("card", "first", "steps"), SIMS.values(), ids=SIMS.keys())
def test_the_sim_has_its_states(tmp_path, card, first, steps):
    async def story(host: Host) -> None:
        host.modem.pwrkey(1000)
        await host.expect(first)
        await host.ask("ATE0;+CMEE=1")
        for sent, heard in steps:
            host.send(sent.encode() + b"\r")
            await host.expect(heard)
        assert b"READY" in first or (await host.ask("AT+CEREG?")).endswith(OK)

    speak(tmp_path, "off", story, card=card)


def test_a_busy_sim_says_so_and_a_card_put_in_later_is_not_seen(tmp_path):
    async def story(host: Host) -> None:
        host.modem.pwrkey(1000)
        await until(lambda: host.modem.state == "on")
        assert (await host.ask("ATE0;+CMEE=1;+CPIN?")).endswith(cme(14))
        await host.expect(urc("+CPIN: READY") + urc("SMS Ready"))
        host.modem.set_card(None)
        await host.expect(urc("+CPIN: NOT READY"))
        host.modem.set_card(Card())
        await host.silence(5000)
        assert await host.ask("AT+CPIN?") == cme(10)

    speak(tmp_path, "off", story, speed=20)
