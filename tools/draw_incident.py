"""
Print docs/incident.md: the life of an incident, drawn from the table in firmware/incident.py.

    python -m tools.draw_incident > docs/incident.md
"""

import ast
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "firmware/incident.py"

WORDS = """\
# The life of an incident

Every arrow is *event / what the child feels*; `idle` is where nothing is wrong and where a closed incident ends, and
whatever has no arrow here is refused. "Coming" is reached by the event `coming` alone, which is a right ack of level 3:
a person has said so.

```mermaid
{picture}
```

Drawn by `tools/draw_incident.py` from the table in `firmware/incident.py`; a test keeps the two the same.
"""


def read_table() -> str:
    """Return the table of firmware/incident.py."""
    for node in ast.parse(SOURCE.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TABLE":
            return str(ast.literal_eval(node.value))
    raise SystemExit("firmware/incident.py has no TABLE any more: change tools/draw_incident.py with it")


def arrows(table: str) -> dict[tuple[str, str], list[str]]:
    """Return {(state, next state): ["event / signal", ...]}, with `open` and `=` of the table written out."""
    rows = [row.split() for row in table.strip().splitlines()]
    states = list(dict.fromkeys([row[0] for row in rows] + [row[2] for row in rows]))
    states = [state for state in states if state not in ("open", "=")]
    found: dict[tuple[str, str], list[str]] = {}
    for of, event, following, signal in rows:
        for state in states:
            if of == state or (of == "open" and state != "idle"):
                label = event if signal == "-" else f"{event} / {signal}"
                found.setdefault((state, state if following == "=" else following), []).append(label)
    return found


def picture(table: str) -> str:
    """Return the table as a mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> idle"]
    lines += [f"    {a} --> {b}: {'<br>'.join(labels)}" for (a, b), labels in arrows(table).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(WORDS.format(picture=picture(read_table())), end="")
