"""Any right ack sets the nonce, one said again too."""

EDITS = [("tag", "        if ack.level == 0 or entry or ack.rev > opened.rev:\n", "        if True:\n")]
