"""A PyKMIP server for the tests: PyKMIP's own server, started without a configuration of the machine.

    pykmip_server.py FOLDER PORT

FOLDER holds ca.pem, cert.pem and key.pem; the database and the log appear there. Operation policies are PyKMIP's own: the
process that watches a folder for others, and the one that shares them with it, are left out, so that the server is one
process. It ends when its standard input does, so that it never outlives the test.
"""

import os
import sys
import threading
import types

from kmip.services.server import monitor, server


class NoMonitor:
    """Stands where a folder of policies would be watched."""

    def __init__(self, *_):
        pass

    def start(self):
        pass

    def stop(self):
        pass

    def join(self, *_):
        pass


def end_with_the_test():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    folder, port = sys.argv[1], int(sys.argv[2])
    at = lambda name: os.path.join(folder, name)
    monitor.PolicyDirectoryMonitor = NoMonitor
    server.multiprocessing = types.SimpleNamespace(Manager=lambda: types.SimpleNamespace(dict=dict))
    threading.Thread(target=end_with_the_test, daemon=True).start()
    kmip = server.KmipServer(
        hostname="127.0.0.1",
        port=port,
        certificate_path=at("cert.pem"),
        key_path=at("key.pem"),
        ca_path=at("ca.pem"),
        auth_suite="TLS1.2",
        config_path=None,
        log_path=at("server.log"),
        enable_tls_client_auth=True,
        logging_level="INFO",
        database_path=at("kmip.db"),
    )
    kmip.start()
    print("listening", flush=True)
    kmip.serve()


if __name__ == "__main__":
    main()
