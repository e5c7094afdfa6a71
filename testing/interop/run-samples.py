"""Runs Python files one after the other in one namespace, as they stand, with other ports than those written in them.

    python3 -u run-samples.py 1883=40001,8883=40002 FILE...

The samples of the FoxMQ document are pieces of one program, with the standard ports in them. Only the port of outgoing
connections is replaced; neither the text of a sample nor the MQTT library is touched.
"""
import socket
import sys

ports = {int(old): int(new) for old, new in (pair.split("=") for pair in sys.argv[1].split(","))}
create_connection = socket.create_connection


def create_connection_elsewhere(address, *args, **kwargs):
    host, port = address
    return create_connection((host, ports[port]), *args, **kwargs)


socket.create_connection = create_connection_elsewhere

namespace = {"__name__": "__main__"}
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), namespace)
