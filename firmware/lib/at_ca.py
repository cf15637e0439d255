"""
The broker's CA in the SIM7080's flash.

    name = await stored(modem, "/ca.der", False, log)     # as CASSLCFG's CACERT wants it; ModemError

AT manual 9.2 (CFSINIT ...), 11.2.1 (CONVERT).
"""

from binascii import b2a_base64, crc32, hexlify

from at_line import ModemError
from micropython import const

_INPUT_MS = const(5000)
_FILE_MS = const(10000)


async def stored(modem, path, again, log):
    """
    Have the CA there, as the modem wants it: PEM, converted. Return its name, which is its checksum.

    `path`: of the DER file; `again`: although it is there already.
    """
    command, accepts = modem.command, modem.line.accepts
    with open(path, "rb") as file:
        der = file.read()
    name = "ob%s.crt" % str(hexlify(crc32(der).to_bytes(4, "big")), "ascii")
    pem = b"-----BEGIN CERTIFICATE-----\n"
    for start in range(0, len(der), 48):
        pem += b2a_base64(der[start : start + 48])
    pem += b"-----END CERTIFICATE-----\n"
    # Refused where somebody has left it open.
    await accepts("AT+CFSINIT")
    try:
        try:
            there = await command('AT+CFSGFIS=3,"%s"' % name)
        except ModemError:
            there = ()
        if again or "+CFSGFIS: %d" % len(pem) not in there:
            log.say("I", "modem: our CA is stored")
            await command('AT+CFSWFILE=3,"%s",0,%d,%d' % (name, len(pem), _INPUT_MS), _FILE_MS, pem)
            await command('AT+CSSLCFG="CONVERT",2,"%s"' % name)
    finally:
        # Another socket may have closed it meanwhile, and an error on its way here is the one to be told.
        await accepts("AT+CFSTERM")
    return name
