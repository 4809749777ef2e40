"""Debian's nginx with the shipped `engineshed.conf` in front of a real portal, all in one folder.

    with portal_behind_nginx() as front:
        front.portal.publish("1.0.0")
        front.get("/healthz")

Of the shipped file only addresses, paths and the certificate are replaced; around it stands what Debian's
`/etc/nginx/nginx.conf` says, with `worker_connections` as `docs/deployment.md` demands. As root, nginx's
workers run as `www-data`, as they do there, and may read the packages by the access lists of that document.
"""

import http.client
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from engineshed_packages.transport import HttpClient
from tests.authority import Authority
from tests.conftest import require
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx" / "engineshed.conf"
WORKER_USER = "www-data"
END_S = 20

# Debian 12's nginx.conf without what concerns mail; worker_connections as documented.
_MAIN = """
user www-data;
worker_processes auto;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{
    worker_connections 8192;
}}
http {{
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log {folder}/access.log;
    gzip on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {more}
    include {folder}/engineshed.conf;
}}
"""


def nginx_program() -> str:
    """Where Debian puts it: not on every user's PATH."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    require(found is not None, "nginx")
    return str(found)


def rendered(replaced: Mapping[str, str]) -> str:
    """The shipped file with other texts in place of its own; each must stand in it."""
    text = SHIPPED.read_text("utf-8")
    for old, new in replaced.items():
        assert old in text, f"{SHIPPED.name} has no {old!r}"
        text = text.replace(old, new)
    return text


class Nginx:
    """nginx listening on a free port of loopback, in `folder`."""

    def __init__(self, folder: Path, authority: Authority, *, blobs: Path, tls: bool = True) -> None:
        self.folder = folder
        self.authority = authority
        self._blobs = blobs
        # Made here and inherited, as nginx does it when it is upgraded: nobody else can be given the port.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)  # nginx takes it as it is: its workers would wait in accept
        self.port = int(self._listener.getsockname()[1])
        self._tls = tls
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def write_configuration(
        self, upstream: str, *, changes: Mapping[str, str] | None = None, more: str = ""
    ) -> Path:
        """Writes the configuration for a portal at `upstream`; `changes` are made to the shipped file too."""
        replaced = {
            "127.0.0.1:8080": upstream,
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port}{' ssl' if self._tls else ''};",
            "listen [::]:443 ssl;": "",
            "portal.example.org;": "127.0.0.1;",
            "/etc/ssl/certs/portal.example.org.pem": str(self.authority.certificate_file),
            "/etc/ssl/private/portal.example.org.key": str(self.authority.key_file),
            "/var/log/nginx/": f"{self.folder}/",
            "/var/lib/engineshed/blobs/": f"{self._blobs}/",
            **(changes or {}),
        }
        (self.folder / "engineshed.conf").write_text(rendered(replaced), "utf-8")
        main = self.folder / "nginx.conf"
        main.write_text(
            _MAIN.format(folder=self.folder, more=more.replace("@FOLDER@", str(self.folder))), "utf-8"
        )
        return main

    def words(self, *more: str) -> Sequence[str]:
        return [nginx_program(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), *more]

    def start(self) -> None:
        descriptor = self._listener.fileno()
        environment = {**os.environ, "NGINX": f"{descriptor};"}
        words = self.words("-g", "daemon off;")
        with (self.folder / "nginx.out").open("ab") as output:
            self.process = subprocess.Popen(
                words, pass_fds=[descriptor], env=environment, stdout=output, stderr=output
            )
        wait_until(self._is_up, "nginx is up")

    def _is_up(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.errors()
        return (self.folder / "nginx.pid").exists()

    def errors(self) -> str:
        logs = [self.folder / name for name in ("nginx.out", "error.log")]
        return "".join(path.read_text("utf-8", "replace") for path in logs if path.exists())

    def end(self) -> None:
        self._listener.close()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Front:
    """A portal and the nginx before it."""

    portal: RunningPortal
    nginx: Nginx

    @property
    def context(self) -> ssl.SSLContext:
        """Trusts nothing but the throw-away authority."""
        return ssl.create_default_context(cafile=self.nginx.authority.ca_file)

    def client(self) -> HttpClient:
        """What updater and commands send with, the authority pinned."""
        return HttpClient(ca_file=str(self.nginx.authority.ca_file))

    def connect(self, *, timeout_s: float = 20.0) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "127.0.0.1", self.nginx.port, timeout=timeout_s, context=self.context
        )

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> "Answer":
        """One request by a connection of its own."""
        with closing(self.connect()) as connection:
            connection.request(method, path, body, dict(headers or {}))
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())

    def get(self, path: str, **headers: str) -> "Answer":
        return self.ask("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})

    @property
    def bearer(self) -> str:
        return f"Bearer {self.portal.token}"


@dataclass(frozen=True)
class Answer:
    """An answer read to its end; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def let_read(folder: Path) -> None:
    """Lets nginx's workers read the packages below the data folder, as `docs/deployment.md` says."""
    if os.geteuid() != 0:
        return
    require(shutil.which("setfacl") is not None, "setfacl")
    require(WORKER_USER in {entry.pw_name for entry in pwd.getpwall()}, WORKER_USER)
    document = (SHIPPED.parents[2] / "docs" / "deployment.md").read_text("utf-8")
    commands = re.findall(r"^setfacl .*$", document, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command.replace("/var/lib/engineshed", str(folder)).split(), check=True)
    folder.chmod(0o710)  # systemd does so at each start of the portal: StateDirectoryMode=


@contextmanager
def portal_behind_nginx(
    *,
    workers: int = 2,
    settings: Mapping[str, str | int] | None = None,
    changes: Mapping[str, str] | None = None,
    more: str = "",
    tls: bool = True,
) -> Iterator[Front]:
    """A portal with the shipped nginx in front of it, both running.

    Args:
        settings: more of the portal's. changes: to the shipped file, old text by new.
        more: for nginx's http block, with `@FOLDER@` for its folder. tls: False for measurements alone.
    """
    nginx_program()
    folder = Path(tempfile.mkdtemp(prefix="engineshed-front-"))
    folder.chmod(0o711)  # nginx's workers pass through
    try:
        with _running(folder, workers, settings=settings or {}, changes=changes, more=more, tls=tls) as front:
            yield front
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(
    folder: Path,
    workers: int,
    *,
    settings: Mapping[str, str | int],
    changes: Mapping[str, str] | None,
    more: str,
    tls: bool,
) -> Iterator[Front]:
    for name in ("portal", "nginx"):
        (folder / name).mkdir()
    authority = Authority(folder / "nginx")
    nginx = Nginx(folder / "nginx", authority, blobs=folder / "portal" / "data" / "blobs", tls=tls)
    portal: RunningPortal | None = None
    try:
        portal = RunningPortal(
            folder / "portal",
            workers=workers,
            settings={
                "portal.public_url": nginx.address,
                "portal.ca_file": str(authority.ca_file),
                "web.proxies": "127.0.0.1",
                "web.accel": "/_blobs",
                **settings,
            },
        )
        let_read(folder / "portal" / "data")
        portal.start()
        nginx.write_configuration(portal.address.removeprefix("http://"), changes=changes, more=more)
        nginx.start()
        yield Front(portal, nginx)
    finally:
        nginx.end()
        if portal is not None:
            portal.end()
