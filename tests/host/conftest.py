"""What the host tests share."""

import signal

from hypothesis import settings

# A busy machine is slow, not wrong.
settings.register_profile("host", deadline=None)
settings.load_profile("host")

# Who runs the tests in the background may have it ignored, and programs that tests stop with it would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
