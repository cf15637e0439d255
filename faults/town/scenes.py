"""x"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Verdict:
    """How a scene went: what was seen, in words; what was wrong. not_run: this computer cannot play it."""

    name: str
    said: str = ""
    wrong: list[str] = field(default_factory=list)
    not_run: bool = False


SCENES: dict[str, Any] = {}
