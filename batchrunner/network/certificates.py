"""Which certificates are trusted, as the environment says; and why one is not."""

from __future__ import annotations

import os
import re
import ssl
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from batchrunner.network.errors import NetworkSettingsError

CERT_FILE, CERT_DIR, KEY_LOG = "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"
#: A larger file is no file of certificates.
MAX_FILE_BYTES = 32 * 1024 * 1024
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def trusted(environ: Mapping[str, str]) -> ssl.SSLContext:
    """
    Return the context for connections with TLS: the environment's certificates, or the usual ones.

    Raises:
        NetworkSettingsError: A variable names a file or folder that cannot be used.
    """
    return _context(*(environ.get(name, "") for name in (CERT_FILE, CERT_DIR, KEY_LOG)))


@cache
def without_tls() -> ssl.SSLContext:
    """Return the context for connections without TLS: it trusts nobody, and reads no file."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@cache
def _context(file: str, folder: str, key_log: str) -> ssl.SSLContext:
    context = _new_context(key_log)
    if not file and not folder:
        return httpx.create_ssl_context(trust_env=False)
    if file:
        _load_file(context, file)
    if folder:
        _load_folder(context, folder)
    return context


def _new_context(key_log: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if key_log:
        try:
            context.keylog_filename = key_log
        except OSError as error:
            raise _unusable(KEY_LOG, key_log, error.strerror or "it is no file") from None
    return context


def _load_file(context: ssl.SSLContext, path: str) -> None:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(CERT_FILE, path, "it is no ordinary file")
        if status.st_size > MAX_FILE_BYTES:
            raise _unusable(CERT_FILE, path, "it is too large for a file of certificates")
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise _unusable(CERT_FILE, path, "it has no certificate in the PEM format") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it cannot be read"
        raise _unusable(CERT_FILE, path, why) from None
    if not context.cert_store_stats()["x509"]:
        raise _unusable(CERT_FILE, path, "it has no certificate in the PEM format")


def _load_folder(context: ssl.SSLContext, folders: str) -> None:
    """Let certificates be looked up in folders; at least one must have some."""
    troubles = [_folder_trouble(folder) for folder in folders.split(os.pathsep) if folder]
    if not troubles or all(troubles):
        why = next(iter(troubles), None) or "it names no folder"
        raise _unusable(CERT_DIR, folders, why)
    context.load_verify_locations(capath=folders)


def _folder_trouble(folder: str) -> str | None:
    try:
        names = os.listdir(folder)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "it cannot be read"
    if any(_HASHED_NAME.fullmatch(name) for name in names):
        return None
    return "it has no certificate under the name that `openssl rehash` gives"


def _unusable(variable: str, path: str, why: str) -> NetworkSettingsError:
    shown = ascii(path) if not path.isprintable() or path != path.strip() else path
    return NetworkSettingsError(
        f"{variable} names {shown}, which cannot be used: {why}",
        next=f"name a file of certificates there, or use the usual ones: unset {variable}"
        if variable != KEY_LOG
        else f"unset {variable}",
        variable=variable,
    )


#: What OpenSSL says of a certificate → what to do; any other number: the last row.
_ADVICE = {
    9: "check this machine's clock (`date`): the certificate is not valid yet",
    10: "check this machine's clock (`date`); if it is right, the certificate has to be renewed",
    62: "check the API's address: the certificate is for another host",
    64: "check the API's address: the certificate is for another host",
}
_UNTRUSTED = (
    "if your network has a certificate authority of its own: export SSL_CERT_FILE=/path/to/its.pem"
)
_NO_TLS_ADVICE = "check the API's address (--api-url, TINYFISH_BASE_URL) and its port"
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL")


@dataclass(frozen=True, slots=True)
class Distrust:
    """Why a connection is not trusted, and what to do about it."""

    why: str
    advice: str


def distrust(error: BaseException) -> Distrust | None:
    """Return why a connection is not trusted; None if that is not what the error is about."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            said = (each.verify_message or "it does not fit").rstrip(".")
            advice = _ADVICE.get(each.verify_code, _UNTRUSTED)
            return Distrust(f"its certificate is not trusted: {said}", advice)
        if isinstance(each, ssl.SSLError) and each.reason in _NO_TLS:
            return Distrust("what answers there speaks no TLS that is known here", _NO_TLS_ADVICE)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
