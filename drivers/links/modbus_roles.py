"""The role that a certificate carries for Modbus/TCP Security, read out of its DER bytes.

Source: MODBUS/TCP Security Protocol Specification 2.1, section 8.2 (role OID 1.3.6.1.4.1.50316.802.1, one UTF8String).
Only as much of X.509 as that takes: the certificate's signature and validity are the TLS library's business.
"""

from collections.abc import Iterator

ROLE_OID = bytes([0x2B, 6, 1, 4, 1, 0x83, 0x89, 0x0C, 0x86, 0x22, 1])
"""1.3.6.1.4.1.50316.802.1 in DER."""
SEQUENCE, OBJECT_ID, BOOLEAN, OCTETS, UTF8, EXTENSIONS = 0x30, 0x06, 0x01, 0x04, 0x0C, 0xA3


class RoleError(ValueError):
    """The certificate carries no usable role; the message is one line."""


def role_of(certificate: bytes) -> str:
    """The one role of a DER certificate. RoleError when it has none, several, or one that is no UTF8String."""
    try:
        roles = [list(_values(value)) for oid, value in _extensions(certificate) if oid == ROLE_OID]
    except (IndexError, ValueError):
        raise RoleError("not a certificate that can be read") from None
    if len(roles) != 1:
        raise RoleError(f"it carries {len(roles) or 'no'} Modbus roles, expected one")
    texts = [text for tag, text in roles[0] if tag == UTF8 and text.isascii() and text]
    if len(texts) != 1 or len(roles[0]) != 1:
        raise RoleError("its Modbus role is no UTF8String")
    return texts[0].decode()


def _extensions(certificate: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Object id and content of every extension."""
    ((_, signed),) = _values(certificate)
    (_, to_be_signed), *_ = _values(signed)
    for tag, content in _values(to_be_signed):
        if tag == EXTENSIONS:
            ((_, extensions),) = _values(content)
            for _, extension in _values(extensions):
                parts = [(tag, part) for tag, part in _values(extension) if tag != BOOLEAN]
                (_, oid), (_, value) = parts
                yield oid, value


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of the DER values that stand one after the other. IndexError where they end too early."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise IndexError
        yield tag, data[at : at + length]
        at += length
