"""
A tag, its modem, a broker and a desk in one process and in virtual time, with faults on the modem's line.

play.py holds one run, kinds.py what can go wrong with an answer, tap.py where it does, line.py and far.py what lies
between the parts, authority.py the certificate. `python -m faults.modem` is the campaign.
"""
