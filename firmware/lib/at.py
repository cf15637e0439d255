"""
AT line parser for the SIM7080 family: the modem's bytes in, events out.

It does no I/O, keeps no time and pairs nothing: which answer belongs to which question is the driver's business.

    parser = Parser()
    parser.sent("AT+CEREG?")  # the command now at work, without its CR; "" for none
    for kind, value in parser.feed(data):  # cut anywhere

    kind      value
    "echo"    an "AT..." line, at its CR; it is the command at work from here on
    "info"    a line for the command at work: "+NAME: ..." of its own name, or bare text
    "final"   OK, ERROR, +CME ERROR: n, +CMS ERROR: n, NO CARRIER, CONNECT n: no command is at work any more
    "urc"     every other line, and every line while no command is at work
    "prompt"  ">" at a line's start, at once, the first time a command asks; or the line DOWNLOAD
    "data"    the payload (bytes) of "+CARECV: n,", by count, while AT+CARECV= is at work

All values but data are str, without blanks around; what is not printable ASCII in them is "?". +CREG, +CGREG and
+CEREG are info only if the second field is a number (n,stat) and URCs otherwise (stat or stat,"tac"). A line that
the echo of the command at work cuts in two is joined, and told before that echo.

With echo on (ATE1) the modem repeats a payload after its prompt, and its lines are told like any others: one that
reads OK ends the command. Data that a modem in recv mode 1 pushes behind +CAURC: "recv" are told as lines, too.
"""

from micropython import const

_LF = const(0x0A)
_CR = const(0x0D)
_COMMA = const(0x2C)
_PROMPT = const(0x3E)

# The longest line that is told: an echo may have AT and 559 characters.
_MAX_LINE = const(600)
# The most that CARECV can be asked for.
_MAX_DATA = const(1460)

# By their first five characters: +CMEE is no error.
_FINALS = const(("OK", "ERROR", "NO CA", "CONNE", "+CME ", "+CMS "))
# Those that do not begin with one of + * $: RDY, SMS Ready, DST, NORMAL POWER DOWN, the voltage lines, boot reports.
_URCS = const(("RDY", "SMS R", "DST: ", "NORMA", "UNDER", "OVER-", "QCIMG", "QCSRV"))


class Parser:
    """
    Cut a modem's byte stream into events.

    `dropped` counts what is not told: lines of more than 600 bytes, CARECV payloads of more than 1460, and those that
    were not complete when the next command was sent. More than one of these is never kept in memory.
    """

    def __init__(self):
        self.dropped = 0
        self._line = bytearray()
        self._left = 0  # bytes of a payload still to come; -1: the rest of this line is dropped
        self._echo = ""  # to be told when the line that it cut is complete
        self.sent("")

    def sent(self, command):
        """Take `command` (str, without CR) as the one at work; to be called before it is written."""
        if self._left > 0:
            self.dropped += 1
            self._left = -1
            self._line[:] = b""
        self._command = command
        self._prompted = False  # it has prompted: what comes now may be its payload's echo

    def feed(self, data):
        """Take any number of bytes, even one; yield the (kind, value) that they complete. To be read to its end."""
        line = self._line
        for byte in data:
            if self._left > 0:
                line.append(byte)
                self._left -= 1
                if not self._left:
                    payload = bytes(line)
                    line[:] = b""
                    yield "data", payload
            elif byte == _CR or byte == _LF:
                self._left = 0
                text = line.decode().strip()
                command = self._command
                if command and text[1:].endswith(command):
                    self._echo = command
                    line[-len(command) :] = b""
                    continue
                line[:] = b""
                if text[:2].upper() == "AT" and not self._prompted:
                    self._echo = text
                elif text:
                    yield self._kind(text), text
                text = self._echo
                if text:
                    self._echo = ""
                    self.sent(text)
                    yield "echo", text
            elif not self._left:
                if byte == _PROMPT and not line and self._command and not self._prompted:
                    self._prompted = True
                    yield "prompt", chr(byte)
                    continue
                line.append(byte if 0x1F < byte < 0x7F else 0x3F)
                if byte == _COMMA and line[:9] == b"+CARECV: " and "+CARECV=" in self._command:
                    count = bytes(line[9:-1])
                    if count.isdigit():
                        self._left = int(count)
                if len(line) > _MAX_LINE or self._left > _MAX_DATA:
                    self.dropped += 1
                    self._left = -1
                if self._left:
                    line[:] = b""

    def _kind(self, text):
        head = text[:5]
        if head in _FINALS:
            self.sent("")
            return "final"
        if self._command and head not in _URCS:
            if text == "DOWNLOAD":
                self._prompted = True
                return "prompt"
            if text[0] not in "+*$":
                return "info"
            name = text.split(":")[0]
            if "AT" + name == self._command.upper().replace("=", "?").split("?")[0]:
                if "REG" not in name or (text + ",").split(",")[1].isdigit():
                    return "info"
        return "urc"
