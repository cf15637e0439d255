"""The chip's address."""


def main():
    from binascii import hexlify

    import machine

    return hexlify(machine.unique_id(), ":").decode()
