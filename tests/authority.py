"""A throw-away certificate authority for loopback, so that TLS in tests is real.

authority = Authority(tmp_path)
FaultyServer(tls=authority.server_context())
HttpClient(ca_file=str(authority.ca_file))
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """A CA and one certificate for 127.0.0.1 and localhost, in files below *folder*."""

    def __init__(self, folder: Path, *, name: str = "authority") -> None:
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self.ca_file = self._folder / "ca.pem"
        self.certificate_file = self._folder / "server.pem"
        self.key_file = self._folder / "server.key"
        ca_key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test {name}")])
        ca = _certificate(subject, subject, ca_key.public_key())
        ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.ca_file.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
        key = ec.generate_private_key(ec.SECP256R1())
        host = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = _certificate(host, subject, key.public_key())
        certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = certificate.sign(ca_key, hashes.SHA256())
        self.certificate_file.write_bytes(signed.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.key_file.write_bytes(pem)

    def server_context(self) -> ssl.SSLContext:
        """The TLS side of a server with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def _certificate(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
