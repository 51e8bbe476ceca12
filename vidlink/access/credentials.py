"""The credentials of a data folder, kept in a small database of their own.

Commands change it while a server runs or while none does; the server changes it when somebody
logs in or out. Every change is one short transaction that is on the disk when it returns, and
SQLite keeps two from being made at once. Nothing in it lets anybody in who reads it: of secrets
there are hashes only. It is one idea: one database, and every way to read and to change it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote

from vidlink.access import enrolments
from vidlink.access.enrolments import Application
from vidlink.disk import FOLDER_MODE, make_anew
from vidlink.errors import StoreError, UserMistake
from vidlink.model import Enrolment, Role

#: The name of the database in the data folder.
FILE = "access.sqlite3"
#: Nobody but the owner reads hashes of passwords, not even the group that may read recordings.
_MODE = 0o600
FORMAT = 2
#: The names of users that an identity provider vouches for begin so; those that are typed have no
#: colon, so that neither can be taken for the other.
VOUCHED = "oidc:"
_SCHEMA = """
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    password TEXT,
    roles TEXT NOT NULL,
    groups TEXT,
    changed_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    groups TEXT,
    sentinel_id TEXT,
    sentinel_group TEXT,
    created_us INTEGER NOT NULL,
    expires_us INTEGER,
    most INTEGER
) WITHOUT ROWID;
CREATE TABLE logins (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    user_name TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    address TEXT NOT NULL,
    software TEXT NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class User:
    """A person. `password` is its hash, None where another checker knows it; groups None: all."""

    name: str
    password: str | None
    roles: frozenset[Role]
    groups: frozenset[str] | None
    changed_us: int


@dataclass(frozen=True, slots=True)
class Token:
    """The secret of a program, let in by bearing it. `name` says whose it is; one that is a
    Sentinel's is bound to its id, and maybe to its group. One that enrols does so for `most`
    machines, None: any number."""

    token_id: str
    digest: bytes
    name: str
    roles: frozenset[Role]
    groups: frozenset[str] | None
    sentinel_id: str | None
    sentinel_group: str | None
    created_us: int
    expires_us: int | None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A browser in which a user has logged in, or a command."""

    login_id: str
    digest: bytes
    user_name: str
    created_us: int
    expires_us: int
    address: str
    software: str


@dataclass(frozen=True, slots=True)
class Everything:
    """All credentials at one moment."""

    users: tuple[User, ...]
    tokens: tuple[Token, ...]
    logins: tuple[Login, ...]
    enrolments: tuple[Enrolment, ...] = ()


class Credentials:
    """The credentials of the data folder at `folder`. Every call may block.

    :raises StoreError: out of any call, if the database cannot be used.
    """

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, FILE)
        self._folder = folder
        self._connection: sqlite3.Connection | None = None
        #: Which file it is of, to the system: device and inode.
        self._place = (0, 0)
        self._opened = 0

    def version(self) -> object:
        """A value that is another one after somebody else has changed something.

        None as long as there is no database.
        """
        with self._reported():
            connection = self._open(makes=False)
            if connection is None:
                return None
            ((number,),) = connection.execute("PRAGMA data_version")
            # Numbers of two connections say nothing of each other.
            return self._opened, number

    def read(self) -> Everything:
        """All of them."""
        with self._reported():
            connection = self._open(makes=False)
            if connection is None:
                return Everything((), (), ())
            with _transaction(connection, "BEGIN"):
                users = connection.execute("SELECT * FROM users").fetchall()
                tokens = connection.execute("SELECT * FROM tokens").fetchall()
                logins = connection.execute("SELECT * FROM logins").fetchall()
                enrolled = enrolments.enrolments(connection)
            return Everything(
                tuple(
                    User(name, kept, _roles(roles), _groups(groups), us)
                    for name, kept, roles, groups, us in users
                ),
                tuple(
                    Token(row[0], row[1], row[2], _roles(row[3]), _groups(row[4]), *row[5:])
                    for row in tokens
                ),
                tuple(Login(*row) for row in logins),
                tuple(enrolled),
            )

    def put_user(self, user: User, *, is_new: bool) -> None:
        """Keep a user, or the change of one; a changed one is logged out everywhere.

        :raises UserMistake: if there is one of that name, or none where there should be.
        """
        row = (user.password, _words(user.roles), _list(user.groups), user.changed_us)
        with self._changing() as connection:
            if is_new:
                found = connection.execute(
                    "INSERT INTO users VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (user.name, *row),
                ).rowcount
            else:
                found = connection.execute(
                    "UPDATE users SET password = ?, roles = ?, groups = ?, changed_us = ? "
                    "WHERE name = ?",
                    (*row, user.name),
                ).rowcount
                connection.execute("DELETE FROM logins WHERE user_name = ?", (user.name,))
        if not found:
            raise UserMistake(
                f"there is a user {user.name} already" if is_new else f"no user {user.name}"
            )

    def put_vouched(self, user: User) -> None:
        """Keep a user whom an identity provider vouches for, as it does now; if they may do
        something else than before, they are logged out everywhere.

        :raises UserMistake: if the name is not one of those.
        """
        if not user.name.startswith(VOUCHED) or user.password is not None:
            raise UserMistake(f"{user.name} is no name of a user that a provider vouches for")
        row = (_words(user.roles), _list(user.groups), user.changed_us)
        with self._changing() as connection:
            is_other = connection.execute(
                "INSERT INTO users VALUES (?, NULL, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "password = NULL, roles = excluded.roles, groups = excluded.groups, "
                "changed_us = excluded.changed_us WHERE (roles, groups) IS NOT "
                "(excluded.roles, excluded.groups) OR password IS NOT NULL",
                (user.name, *row),
            ).rowcount
            if is_other:
                connection.execute("DELETE FROM logins WHERE user_name = ?", (user.name,))

    def remove_user(self, name: str) -> bool:
        """Let a user in no more; False if there is none of that name."""
        with self._changing() as connection:
            return connection.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount > 0

    def put_token(self, token: Token) -> None:
        """Keep a new token."""
        row = (
            token.token_id, token.digest, token.name, _words(token.roles), _list(token.groups),
            token.sentinel_id, token.sentinel_group, token.created_us, token.expires_us, token.most,
        )  # fmt: skip
        with self._changing() as connection:
            connection.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def remove_token(self, token_id: str) -> bool:
        """Revoke a token; False if there is none with that id."""
        with self._changing() as connection:
            return connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,)).rowcount > 0

    def enrol(self, asked: Application) -> Enrolment:
        """Give a machine a token of its own; see :func:`vidlink.access.enrolments.enrol`."""
        with self._changing() as connection:
            return enrolments.enrol(connection, asked)

    def forget_enrolment(self, sentinel_id: str) -> bool:
        """Revoke a machine's token, and let it enrol again; False if there is no such."""
        with self._changing() as connection:
            return enrolments.forget(connection, sentinel_id)

    def put_login(self, login: Login, most: int, changed_us: int | None = None) -> None:
        """Keep a new login; of its user's, no more than the `most` newest.

        :param changed_us: of the user as they were when it was seen who they are; of one that was
            changed or removed meanwhile nothing is kept. None: it is, of one that was changed.
        """
        row = (
            login.login_id, login.digest, login.user_name, login.created_us, login.expires_us,
            login.address, login.software,
        )  # fmt: skip
        with self._changing() as connection:
            connection.execute(
                "INSERT INTO logins SELECT ?, ?, ?, ?, ?, ?, ? WHERE EXISTS "
                "(SELECT 1 FROM users WHERE name = ? AND changed_us = ifnull(?, changed_us))",
                (*row, login.user_name, changed_us),
            )
            connection.execute(
                "DELETE FROM logins WHERE user_name = ? AND id NOT IN (SELECT id FROM logins "
                "WHERE user_name = ? ORDER BY created_us DESC LIMIT ?)",
                (login.user_name, login.user_name, most),
            )

    def remove_logins(self, user_name: str, login_id: str | None = None) -> int:
        """End one login of a user, or all of them; how many there were."""
        where, values = "user_name = ?", [user_name]
        if login_id is not None:
            where, values = f"{where} AND id = ?", [user_name, login_id]
        with self._changing() as connection:
            return connection.execute(f"DELETE FROM logins WHERE {where}", values).rowcount

    def close(self) -> None:
        """Let the database go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reported():
            connection = self._open(makes=True)
            assert connection is not None
            with _transaction(connection, "BEGIN IMMEDIATE"):
                yield connection

    def _open(self, *, makes: bool) -> sqlite3.Connection | None:
        """The database; None if there is none and it is not to be made."""
        if self._connection is None or not _is_at(self._place, self.path):
            self.close()
            if not os.path.exists(self.path):
                if not makes:
                    return None
                self._make()
            self._connection = self._connect()
            self._opened += 1
            found = os.stat(self.path)
            self._place = found.st_dev, found.st_ino
        return self._connection

    def _make(self) -> None:
        """Make it, readable by whom the folder belongs to, whoever makes it."""
        if not os.path.isdir(self._folder):
            os.mkdir(self._folder, FOLDER_MODE)
        fresh = f"{self.path}.{os.getpid()}.new"
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.executescript(
                f"BEGIN; {_SCHEMA} {enrolments.SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT"
            )
            empty = connection.serialize()
        # Root may make it in a folder of somebody else: nothing is done by name that could lead
        # to another file by then.
        descriptor = make_anew(fresh, _MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, _MODE)
                if os.geteuid() == 0:
                    owner = os.stat(self._folder)
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                file.write(empty)
                file.flush()
                os.fsync(descriptor)
            # Not over one that another process has made meanwhile.
            os.link(fresh, self.path)
        except FileExistsError:
            return
        finally:
            os.remove(fresh)

    def _connect(self) -> sqlite3.Connection:
        mode = os.stat(self.path).st_mode
        if mode & 0o777 & ~_MODE:
            # Such as a copy that somebody has put back.
            with suppress(PermissionError):
                os.chmod(self.path, mode & _MODE)
        connection = sqlite3.connect(
            f"file:{quote(self.path)}?mode=rw",
            uri=True,
            timeout=5.0,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            ((found,),) = connection.execute("PRAGMA user_version")
            if found != FORMAT:
                raise StoreError(
                    f"{self.path} has format {found}, and this version of VidLink reads {FORMAT}"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, ValueError, TypeError) as error:
            self.close()
            raise StoreError(f"the credentials in {self.path} cannot be used: {error}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _is_at(place: tuple[int, int], path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return place == (found.st_dev, found.st_ino)


def _words(roles: Iterable[Role]) -> str:
    return " ".join(sorted(role.value for role in roles))


def _roles(words: str) -> frozenset[Role]:
    return frozenset(Role(word) for word in words.split())


def _list(groups: Iterable[str] | None) -> str | None:
    return None if groups is None else json.dumps(sorted(groups))


def _groups(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(map(str, json.loads(text)))
