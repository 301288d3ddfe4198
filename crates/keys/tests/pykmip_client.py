"""What PyKMIP's own client sees and does at a KMIP server, for the tests.

    pykmip_client.py FOLDER PORT list            every object: identifier, name, state, usage, algorithm, bits, sensitive
    pykmip_client.py FOLDER PORT revoke ID       takes a key out of use
    pykmip_client.py FOLDER PORT destroy ID      destroys a key that is out of use

FOLDER holds ca.pem, client.pem and client.key.
"""

import os
import sys

from kmip import enums
from kmip.pie import client


def attribute(attributes, name):
    values = [item.attribute_value for item in attributes if item.attribute_name.value == name]
    return values[0] if values else None


def show(server, uid):
    _, attributes = server.get_attributes(uid)
    mask = attribute(attributes, "Cryptographic Usage Mask").value
    usage = "+".join(e.name for e in enums.CryptographicUsageMask if e.value & mask)
    sensitive = attribute(attributes, "Sensitive")
    words = [
        uid,
        attribute(attributes, "Name").name_value.value,
        attribute(attributes, "State").value.name,
        usage,
        attribute(attributes, "Cryptographic Algorithm").value.name,
        str(attribute(attributes, "Cryptographic Length").value),
        str(bool(sensitive and sensitive.value)),
    ]
    print("|".join(words))


def main():
    folder, port, action, *rest = sys.argv[1:]
    at = lambda name: os.path.join(folder, name)
    server = client.ProxyKmipClient(
        hostname="127.0.0.1",
        port=int(port),
        cert=at("client.pem"),
        key=at("client.key"),
        ca=at("ca.pem"),
        ssl_version="PROTOCOL_TLSv1_2",
        config_file=os.devnull,
        kmip_version=enums.KMIPVersion.KMIP_1_4,
    )
    with server:
        if action == "list":
            for uid in sorted(server.locate(), key=int):
                show(server, uid)
        elif action == "revoke":
            server.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, rest[0])
        elif action == "destroy":
            server.destroy(rest[0])
        else:
            sys.exit(f"no such action: {action}")


if __name__ == "__main__":
    main()
