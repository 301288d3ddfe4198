"""What PyKMIP's own client sees and does at a KMIP server, for the tests.

    pykmip_client.py FOLDER PORT list            every object: identifier, name, state, usage, algorithm, bits, sensitive
    pykmip_client.py FOLDER PORT revoke ID       takes a key out of use
    pykmip_client.py FOLDER PORT destroy ID      destroys a key that is out of use
    pykmip_client.py FOLDER PORT begin NAME      makes a key as our client does in its first mode, and does not activate it
    pykmip_client.py FOLDER PORT open AAD TEXT MASTER ID [ID]
                                                 fetches the keys and opens with them, outside of the server, what was
                                                 wrapped: prints the data key (AAD and data key in hexadecimal)

FOLDER holds ca.pem, client.pem and client.key.
"""

import base64
import hashlib
import hmac
import os
import sys

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kmip import enums
from kmip.core.factories.attributes import AttributeFactory
from kmip.core.objects import TemplateAttribute
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


def begin(server, name):
    make = AttributeFactory().create_attribute
    kind = enums.AttributeType
    usage = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]
    attributes = [
        make(kind.CRYPTOGRAPHIC_ALGORITHM, enums.CryptographicAlgorithm.AES),
        make(kind.CRYPTOGRAPHIC_LENGTH, 256),
        make(kind.CRYPTOGRAPHIC_USAGE_MASK, usage),
        make(kind.NAME, name),
        make(kind.OBJECT_GROUP, "parcours " + name.split("#")[0]),
        make(
            kind.APPLICATION_SPECIFIC_INFORMATION,
            {"application_namespace": "parcours", "application_data": "aes-gcm"},
        ),
    ]
    made = server.proxy.create(enums.ObjectType.SYMMETRIC_KEY, TemplateAttribute(attributes=attributes))
    print(made.uuid)


def part(text):
    return len(text).to_bytes(4, "big") + text


def open_wrapped(server, aad, text, master, *uids):
    keys = [server.get(uid).value for uid in uids]
    aad, master, sealed = bytes.fromhex(aad), master.encode(), base64.b64decode(text, validate=True)
    if len(keys) == 1:
        return AESGCM(keys[0]).decrypt(sealed[:12], sealed[12:], b"parcours-wrap-1" + part(master) + aad)
    iv, encrypted, mac = sealed[:16], sealed[16:64], sealed[64:]
    told = b"parcours-wrap-cbc-hmac-1" + part(master) + part(iv) + part(encrypted) + aad
    if hmac.new(keys[1], told, hashlib.sha256).digest() != mac:
        sys.exit("the MAC is not one of the second key")
    cipher = Cipher(algorithms.AES(keys[0]), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(cipher.update(encrypted) + cipher.finalize()) + unpadder.finalize()


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
        elif action == "begin":
            begin(server, rest[0])
        elif action == "open":
            print(open_wrapped(server, *rest).hex())
        else:
            sys.exit(f"no such action: {action}")


if __name__ == "__main__":
    main()
