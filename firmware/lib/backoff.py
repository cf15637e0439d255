"""
When to try again: a table of delays, then a last one for ever, with jitter.

It keeps no time. `delay_ms()` says how long to wait before the next attempt, `reset()` starts over.
"""


class Backoff:
    """
    `table_ms`: the first delays, exact. `tail_ms`: every later one, give or take `jitter_percent`.

    `random_bits(n)` returns n random bits as an integer (random.getrandbits); the jitter keeps a city of tags from
    calling in step after an outage.
    """

    def __init__(self, table_ms, tail_ms, jitter_percent, random_bits):
        self._table_ms = table_ms
        self._tail_ms = tail_ms
        self._jitter_ms = tail_ms * jitter_percent // 100
        self._random_bits = random_bits
        self.attempt = 0

    def delay_ms(self):
        """Return the delay in ms before the next attempt, and count it."""
        n = self.attempt
        self.attempt += 1
        if n < len(self._table_ms):
            return self._table_ms[n]
        return self._tail_ms - self._jitter_ms + self._random_bits(24) % (2 * self._jitter_ms + 1)

    def reset(self):
        self.attempt = 0
