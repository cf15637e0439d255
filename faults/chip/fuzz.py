"""
The sample of faults/fuzz.py on the real interpreter: fuzz.py, with inputs.json beside it: {parser: [hex]}.

Says what came of each input, and the heap that each parser has kept of the second half of them.
"""

import gc
import json
import sys

import vfs

vfs.mount(vfs.VfsPosix(sys.argv[0].rsplit("/", 1)[0]), "/host")
sys.path[:] = [".frozen", "/host/lib", "/host"]

import parsers  # noqa: E402

with open("/host/inputs.json") as _file:
    _inputs = json.load(_file)


def heap():
    gc.collect()
    return gc.mem_alloc()


def read(name, data):
    try:
        return parsers.PARSERS[name](data)
    except Exception as error:
        return "out came %s: %s" % (type(error).__name__, error)


for _name in sorted(_inputs):
    _frames = [bytes.fromhex(data) for data in _inputs[_name]]
    _half = len(_frames) // 2
    for _data in _frames[:_half]:
        print(json.dumps({"parser": _name, "said": read(_name, _data)}))
    _before = heap()
    for _data in _frames[_half:]:
        print(json.dumps({"parser": _name, "said": read(_name, _data)}))
    _data = None
    print(json.dumps({"parser": _name, "grown": heap() - _before}))
