"""
Whether RTC memory keeps what is written.

Epoch and seq stand at its beginning: the first `head` bytes stay as they are all the time, because a cut must not make
an epoch up, and in the end all is as it was.
"""


def main(head):
    import machine

    rtc = machine.RTC()
    before = rtc.memory()
    own = bytes(before[:head])
    wrong = 0
    try:
        for turn in (0, 255):
            pattern = own + bytes([(7 * n + 0x55) & 255 ^ turn for n in range(2048 - len(own))])
            rtc.memory(pattern)
            there = rtc.memory()
            wrong += 2048 - len(there) + sum([1 for n in range(len(there)) if there[n] != pattern[n]])
    finally:
        rtc.memory(before)
    return {"wrong": wrong + (rtc.memory() != before), "bytes": 2048}
