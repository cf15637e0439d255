"""What the host tests share."""

import gc
import signal

from hypothesis import settings

# A busy machine is slow, not wrong.
settings.register_profile("host", deadline=None)
settings.load_profile("host")

# Who runs the tests in the background may have it ignored, and programs that tests stop with it would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the firmware collects garbage often, and would go through all of it each time."""
    gc.collect()
    gc.freeze()
