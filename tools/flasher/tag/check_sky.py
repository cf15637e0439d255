"""
Whether the receiver on a UART of its own speaks, and how many satellites it hears.

Ends as soon as it hears four; at `limit_ms` otherwise. Says every 5 s how it stands.
"""


def sky_in_view(sentence, seen):
    """Take what a GSV sentence says is in view, per talker."""
    fields = sentence.split(b"*")[0].split(b",")
    if sentence[3:6] == b"GSV" and len(fields) > 3 and fields[3].isdigit():
        seen[sentence[1:3]] = int(fields[3])


def main(name, limit_ms):
    from time import sleep_ms

    import clock
    import nmea
    from board import Board

    board = Board(name, clock.ticks_ms)
    reader = nmea.NMEAReader()
    count = used = best = sentences = 0
    seen = {}
    board.gnss_power(True)
    began_ms = said_ms = clock.ticks_ms()
    try:
        while clock.since(clock.ticks_ms(), began_ms) < limit_ms and best < 4:
            data = board.gnss_uart.read()
            if not data:
                sleep_ms(20)
            count += len(data or b"")
            for sentence in reader.feed(data or b""):
                sentences += 1
                sky_in_view(sentence, seen)
                try:
                    part = nmea.parse(sentence)
                except nmea.NMEAError:
                    continue
                if isinstance(part, nmea.Position) and part.satellites is not None:
                    used = part.satellites
            best = max(used, sum(seen.values()))
            if clock.since(clock.ticks_ms(), said_ms) >= 5000:
                said_ms = clock.ticks_ms()
                print("%d sentences, %d satellites" % (sentences, best))
            if clock.since(clock.ticks_ms(), began_ms) > 10000 and not sentences:
                break
    finally:
        board.gnss_power(False)
    return {
        "bytes": count,
        "sentences": sentences,
        "bad": reader.bad_checksum + reader.garbled + reader.too_long,
        "satellites": best,
    }
