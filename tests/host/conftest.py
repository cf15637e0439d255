"""What the host tests share."""

from hypothesis import settings

# A busy machine is slow, not wrong.
settings.register_profile("host", deadline=None)
settings.load_profile("host")
