"""A pyarrow key service over a Parcours keyring file, written from the documented formats alone.

Opens the keyring (format 1) with a key file or a passphrase, and unwraps data keys for one named file. Needs pyarrow
and cryptography. Used by the tests as an independent reader; it works for anyone who holds a keyring.
"""

import base64
import hashlib
import json
import os
import struct
import sys

import pyarrow.fs
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def open_keyring(path, key_file=None, passphrase=None):
    """The keyring's master keys as {"claims/health#3": 32 bytes}."""
    with open(path, "rb") as file:
        first, second, body, last = file.read().splitlines(keepends=True)
    if first != b"parcours-keyring 1\n":
        raise ValueError("not a keyring of format 1")
    if last != b"sha256 " + hashlib.sha256(first + second + body).hexdigest().encode() + b"\n":
        raise ValueError("damaged keyring")
    header = json.loads(second)
    sealing_key = _derive(header["derivation"], key_file, passphrase)
    nonce = base64.b64decode(header["nonce"])
    plain = AESGCM(sealing_key).decrypt(nonce, base64.b64decode(body), first + second)
    lines = (line.split(" ") for line in plain.decode().splitlines())
    return {key_id: base64.b64decode(secret) for key_id, _created, secret in lines}


def _derive(derivation, key_file, passphrase):
    if "argon2id" in derivation:
        parameters, cost = derivation["argon2id"], derivation["argon2id"]["cost"]
        salt = base64.b64decode(parameters["salt"])
        kdf = Argon2id(
            salt=salt, length=32, iterations=cost["passes"], lanes=cost["lanes"], memory_cost=cost["memory_kib"]
        )
        return kdf.derive(passphrase.encode())
    with open(key_file, "rb") as file:
        secret = file.read()
    salt = base64.b64decode(derivation["key-file"]["salt"])
    return HKDF(hashes.SHA256(), 32, salt, b"parcours-keyring-1 key file").derive(secret)


def _part(text):
    return struct.pack(">I", len(text.encode())) + text.encode()


def file_aad(dataset, table, file):
    """The AAD prefix of a data file."""
    return b"parcours-file-1" + _part(dataset) + _part(table) + _part(file)


class ParcoursKms(pe.KmsClient):
    """Unwraps and wraps the data keys of the file named by `dataset`, `table` and `file` in custom_kms_conf."""

    def __init__(self, master_keys, config):
        pe.KmsClient.__init__(self)
        self.master_keys = master_keys
        place = config.custom_kms_conf
        self.aad = file_aad(place["dataset"], place["table"], place["file"])

    def _additional_data(self, master_key_identifier):
        if master_key_identifier not in self.master_keys:
            raise PermissionError(f"no key {master_key_identifier}")
        use = master_key_identifier.split("#")[0].split("/", 1)[1]
        return b"parcours-wrap-1" + _part(master_key_identifier) + self.aad + _part(use)

    def wrap_key(self, key_bytes, master_key_identifier):
        aad, nonce = self._additional_data(master_key_identifier), os.urandom(12)
        return base64.b64encode(nonce + AESGCM(self.master_keys[master_key_identifier]).encrypt(nonce, key_bytes, aad))

    def unwrap_key(self, wrapped_key, master_key_identifier):
        aad = self._additional_data(master_key_identifier)
        wrapped = base64.b64decode(wrapped_key)
        try:
            return AESGCM(self.master_keys[master_key_identifier]).decrypt(wrapped[:12], wrapped[12:], aad)
        except InvalidTag:
            raise ValueError(f"wrapped key of {master_key_identifier} belongs to another file") from None


def _connect(master_keys, dataset, table, file):
    # The factory has to outlive the properties, which do not keep it.
    factory = pe.CryptoFactory(lambda config: ParcoursKms(master_keys, config))
    return factory, pe.KmsConnectionConfig(custom_kms_conf={"dataset": dataset, "table": table, "file": file})


def read_table(path, master_keys, dataset, table, file, columns=None, beside=False):
    """The rows of one data file. `file` is its path inside the table's folder, which it must have been written for;
    `beside` says that its key material lies beside it."""
    factory, config = _connect(master_keys, dataset, table, file)
    where = {"parquet_file_path": str(path), "filesystem": pyarrow.fs.LocalFileSystem()} if beside else {}
    properties = factory.file_decryption_properties(config, pe.DecryptionConfiguration(), **where)
    with pq.ParquetFile(path, decryption_properties=properties) as reader:
        return reader.read(columns=columns)


def rewrap(path, master_keys, dataset, table, file):
    """Lets pyarrow wrap the data keys of a file anew, in the key material beside it."""
    factory, config = _connect(master_keys, dataset, table, file)
    factory.rotate_master_keys(config, str(path), pyarrow.fs.LocalFileSystem(), double_wrapping=False)


def leave():
    """Ends the process as it is, well. pyarrow's threads may still be running, and when Python takes itself down around them,
    C++ now and then ends the process with `terminate called without an active exception`."""
    sys.stdout.flush()
    os._exit(0)
