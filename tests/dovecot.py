"""A real IMAP server for tests: Debian's Dovecot on free ports of this machine, with a folder, a user and keys of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.processes import answers, free_port, wait_until

PROGRAM: Final = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
USER: Final = "replies@brightloom.example"
PASSWORD: Final = 'a "secret" \\ pâss'
_NOBODY: Final = 65534
_CONFIG: Final = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = {folder}
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {group}
disable_plaintext_auth = no
auth_mechanisms = plain login{mechanisms}
auth_failure_delay = 0
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
imap_capability = {capability}
imap_max_line_length = 65536
mail_location = maildir:{folder}/Maildir
mailbox_idle_check_interval = 1 s
mail_max_userip_connections = 50
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/passwd
}}
{passdb}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

_TOKENS: Final = """passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/tokens.conf
}}"""


class Dovecot:
    """A server that can be stopped and started; its mails are files."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-", dir="/tmp"))  # its sockets need a short path
        self.port, self.tls_port = free_port(), free_port()
        self.capability = ""
        self.tokens_at = ""  # the address that says whose an OAuth 2 token is, up to the token
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self.folder.chmod(0o755)
        for name in ("cur", "new", "tmp"):
            (self.folder / "Maildir" / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "home").mkdir()
        (self.folder / "passwd").write_text(f"{USER}:{{PLAIN}}{PASSWORD}:::::\n")
        self._own(self.folder / "Maildir")
        make_certificate(self.folder)

    def start(self) -> None:
        """Starts it and waits until it answers."""
        if self.tokens_at:
            (self.folder / "tokens.conf").write_text(
                f"introspection_url = {self.tokens_at}\nintrospection_mode = get\nusername_attribute = email\n"
            )
        root = os.getuid() == 0
        me = subprocess.check_output(["id", "-un"], text=True).strip()
        (self.folder / "dovecot.conf").write_text(
            _CONFIG.format(
                folder=self.folder,
                internal="dovecot" if root else me,
                login="dovenull" if root else me,
                group="dovecot" if root else subprocess.check_output(["id", "-gn"], text=True).strip(),
                uid=_NOBODY if root else os.getuid(),
                gid=_NOBODY if root else os.getgid(),
                port=self.port,
                tls_port=self.tls_port,
                capability=self.capability,
                mechanisms=" xoauth2" if self.tokens_at else "",
                passdb=_TOKENS.format(folder=self.folder) if self.tokens_at else "",
            )
        )
        self._process = subprocess.Popen(
            [str(PROGRAM), "-F", "-c", str(self.folder / "dovecot.conf")],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr").open("wb"),
            start_new_session=True,
        )
        wait_until(lambda: answers(self.port), 20, f"the start of Dovecot, see {self.folder}")

    def stop(self) -> None:
        """Ends it, with all its connections."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        """Ends it and removes its folder."""
        if self._process is not None:  # with its children, at once: its own stop takes a second
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def deliver(self, raw: bytes) -> Path:
        """Puts a mail into the inbox, as a mail server does: written aside, then moved."""
        self._number += 1
        name = f"{time.time():.6f}.{self._number:06d}.mx.example"
        aside, path = self.folder / "Maildir" / "tmp" / name, self.folder / "Maildir" / "new" / name
        aside.write_bytes(raw)
        self._own(aside)
        return aside.rename(path)

    def mails(self) -> list[Path]:
        """The files of all mails."""
        return sorted(path for name in ("new", "cur") for path in (self.folder / "Maildir" / name).iterdir())

    def renumber(self) -> None:
        """Forgets UIDs and UIDVALIDITY, as a restored or moved mailbox does; only while it is stopped."""
        for path in (self.folder / "Maildir").glob("dovecot*"):
            path.unlink()
        time.sleep(1.1)  # the new UIDVALIDITY is the second of its making

    def log(self) -> str:
        """What the server says."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @staticmethod
    def _own(path: Path) -> None:
        if os.getuid() == 0:
            for one in (path, *path.rglob("*")):
                os.chown(one, _NOBODY, _NOBODY)

    def environment(self, **settings: Any) -> dict[str, str]:
        """Variables that set `[mailbox]` for it."""
        chosen = {"host": "127.0.0.1", "port": self.port, "tls": "none", "user": USER, "password": PASSWORD, **settings}
        return {f"OUTPULSE_MAILBOX__{name.upper()}": str(value) for name, value in chosen.items()}


def make_certificate(folder: Path) -> None:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
