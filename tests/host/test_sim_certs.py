"""Certificates: what the host and the tag's own TLS accept, and what they refuse."""

import pathlib
import ssl
import subprocess
import sys

import pytest

from sim import certs

TAG_SIDE = """
import sys, socket, tls
with open(sys.argv[1], "rb") as file:
    ca = file.read()
sock = socket.socket()
sock.connect(socket.getaddrinfo("127.0.0.1", int(sys.argv[2]))[0][-1])
context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(ca)
try:
    stream = context.wrap_socket(sock, server_hostname="localhost")
    print("in", stream.read(2))
except (OSError, ValueError) as error:
    print("out", error)
"""


def serve_once(context: ssl.SSLContext) -> tuple[int, "object"]:
    import socket
    import threading

    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(10)

    def run() -> None:
        with server:
            try:
                plain, _ = server.accept()
                with plain, context.wrap_socket(plain, server_side=True) as stream:
                    stream.sendall(b"ok")
            except OSError:
                pass  # the client refused the certificate

    thread = threading.Thread(target=run)
    thread.start()
    return server.getsockname()[1], thread


@pytest.mark.parametrize(
    ("names", "options", "verdict"),
    [
        (("localhost", "127.0.0.1"), {}, "in b'ok'"),
        (("elsewhere",), {}, "out"),
        (("localhost",), {"not_after": certs.EXPIRED}, "out"),
    ],
    ids=["right", "wrong name", "expired"],
)
def test_the_tags_own_tls_accepts_the_right_leaf_and_refuses_a_wrong_one(tmp_path, names, options, verdict):
    ca = certs.make_ca()
    (tmp_path / "ca.der").write_bytes(ca.der)
    (tmp_path / "tag.py").write_text(TAG_SIDE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue(*names, **options).write(tmp_path / "leaf"))
    port, thread = serve_once(context)
    micropython = pathlib.Path(sys.executable).with_name("micropython")
    said = subprocess.run(
        [sys.executable, str(micropython), "tag.py", "ca.der", str(port)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
    ).stdout
    thread.join(10)
    assert said.startswith(verdict), said


def test_a_key_is_readable_by_its_owner_only_and_errors_are_named(tmp_path):
    ca = certs.make_ca()
    _, key = ca.issue("localhost").write(tmp_path / "leaf")
    assert pathlib.Path(key).stat().st_mode & 0o777 == 0o600
    with pytest.raises(certs.CertsError, match="cannot write"):
        ca.issue("localhost").write(tmp_path / "none" / "leaf")
    with pytest.raises(certs.CertsError, match="needs a name"):
        ca.issue()
