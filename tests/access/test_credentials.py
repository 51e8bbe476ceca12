"""Tests of :mod:`vidlink.access.credentials`: the database, and what others do to it."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.credentials import FILE, FORMAT, Credentials, Everything, Login, Token, User
from vidlink.errors import StoreError, UserMistake
from vidlink.model import Role

ADA = User(
    "ada", "$scrypt$hash", frozenset({Role.PROCTOR, Role.AUDITOR}), frozenset({"a b", ""}), 7
)
PROGRAM = Token(
    "t1", b"digest", "backup", frozenset({Role.ADMINISTRATOR}), None, None, None, 7, None
)
DESK = Token("t2", b"other", "desk-1", frozenset({Role.SENTINEL}), None, "desk-1", "ward", 7, 99)
HOME = Login("l1", b"home", "ada", 7, 99, "::1", "Mozilla/5.0 \u2192")


class CredentialsCase(SynchronousTestCase):
    """A folder, and two who use it: a command and a server."""

    def setUp(self) -> None:
        """There is nothing yet."""
        self.folder = self.mktemp()
        self.command, self.server = self.opened(), self.opened()

    def opened(self) -> Credentials:
        """Somebody else's view."""
        credentials = Credentials(self.folder)
        self.addCleanup(credentials.close)
        return credentials

    @property
    def path(self) -> str:
        """The database."""
        return os.path.join(self.folder, FILE)


class KeepingTests(CredentialsCase):
    """What is kept, and how."""

    def test_nothing(self) -> None:
        """Looking makes nothing, and finds nothing."""
        self.assertIsNone(self.server.version())
        self.assertEqual(self.server.read(), Everything((), (), ()))
        self.assertFalse(os.path.exists(self.folder))

    def test_there_and_back(self) -> None:
        """Everything comes back as it was put, at whoever reads it."""
        self.command.put_user(ADA, is_new=True)
        self.command.put_user(replace(ADA, name="bea", password=None, groups=None), is_new=True)
        for token in (PROGRAM, DESK):
            self.command.put_token(token)
        self.command.put_login(HOME, 20)
        found = self.server.read()
        self.assertEqual(found.users[0], ADA)
        self.assertEqual((found.users[1].password, found.users[1].groups), (None, None))
        self.assertEqual((found.tokens, found.logins), ((PROGRAM, DESK), (HOME,)))

    def test_version(self) -> None:
        """Each change of another one gives another version; reading and one's own give none."""
        self.command.put_user(ADA, is_new=True)
        versions = [self.server.version()]
        for change in (
            lambda: self.command.put_token(PROGRAM),
            lambda: self.command.remove_token("t1"),
            lambda: self.command.remove_user("ada"),
        ):
            change()
            versions.append(self.server.version())
            self.server.read()
            self.assertEqual(self.server.version(), versions[-1])
        self.assertEqual(len(set(versions)), 4)

    def test_mode(self) -> None:
        """Only the owner reads it, whatever the umask; the folder is made for owner and group."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.command.put_user(ADA, is_new=True)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode) & 0o007, 0)
        self.assertEqual(os.listdir(self.folder), [FILE])

    def test_no_secrets(self) -> None:
        """What is removed is not there any more, at least not as somebody else's."""
        self.command.put_user(ADA, is_new=True)
        self.command.put_login(HOME, 20)
        self.command.remove_user("ada")
        self.assertEqual(self.server.read(), Everything((), (), ()))

    def test_users(self) -> None:
        """A name is given once; a change needs somebody of that name, and logs them out."""
        self.command.put_user(ADA, is_new=True)
        with self.assertRaises(UserMistake):
            self.server.put_user(ADA, is_new=True)
        with self.assertRaises(UserMistake):
            self.server.put_user(replace(ADA, name="bea"), is_new=False)
        self.server.put_login(HOME, 20)
        changed = replace(ADA, roles=frozenset({Role.ADMINISTRATOR}))
        self.command.put_user(changed, is_new=False)
        self.assertEqual(self.server.read(), Everything((changed,), (), ()))
        self.assertFalse(self.command.remove_user("bea"))

    def test_logins(self) -> None:
        """Only the newest are kept of each user; none of somebody who is gone."""
        self.command.put_user(ADA, is_new=True)
        for number in range(5):
            login = replace(HOME, login_id=f"l{number}", digest=b"%d" % number, created_us=number)
            self.command.put_login(login, 3)
        kept = [login.login_id for login in self.server.read().logins]
        self.assertEqual(sorted(kept), ["l2", "l3", "l4"])
        self.assertEqual(self.command.remove_logins("ada", "l1"), 0)
        self.assertEqual(self.command.remove_logins("bea", "l2"), 0)
        self.assertEqual(self.command.remove_logins("ada", "l2"), 1)
        self.assertEqual(self.command.remove_logins("ada"), 2)
        self.command.remove_user("ada")
        self.command.put_login(HOME, 3)
        self.assertEqual(self.server.read().logins, ())

    def test_planted(self) -> None:
        """A link that waits at the name by which it is made is not followed, and in nobody's way:
        what it leads to stays as it is."""
        os.mkdir(self.folder)
        victim = self.mktemp()
        with open(victim, "w") as file:
            file.write("of somebody else")
        os.chmod(victim, 0o644)
        os.symlink(os.path.abspath(victim), f"{self.path}.{os.getpid()}.new")
        self.command.put_user(ADA, is_new=True)
        self.assertEqual(self.server.read().users, (ADA,))
        with open(victim) as file:
            self.assertEqual(file.read(), "of somebody else")
        self.assertEqual(stat.S_IMODE(os.stat(victim).st_mode), 0o644)
        self.assertEqual(os.listdir(self.folder), [FILE])

    def test_owner(self) -> None:
        """Made by root, it belongs to whom the folder belongs to."""
        if os.geteuid() != 0:
            self.skipTest("only root gives files away")
        os.mkdir(self.folder)
        os.chown(self.folder, 12345, 12346)
        self.command.put_user(ADA, is_new=True)
        found = os.stat(self.path)
        self.assertEqual((found.st_uid, found.st_gid), (12345, 12346))


class TroubleTests(CredentialsCase):
    """Files that are not as they should be."""

    def test_replaced(self) -> None:
        """A file that is put in its place, as out of a backup, is the one that is read."""
        self.command.put_user(ADA, is_new=True)
        before = self.server.version()
        other = Credentials(self.mktemp())
        other.put_token(PROGRAM)
        other.close()
        os.replace(other.path, self.path)
        self.assertNotEqual(self.server.version(), before)
        self.assertEqual(self.server.read(), Everything((), (PROGRAM,), ()))
        self.command.put_user(ADA, is_new=True)
        self.assertEqual(len(self.server.read().users), 1)

    def test_gone(self) -> None:
        """One that was removed is none; the next change makes one anew."""
        self.command.put_user(ADA, is_new=True)
        self.server.read()
        os.remove(self.path)
        self.assertIsNone(self.server.version())
        self.command.put_token(PROGRAM)
        self.assertEqual(self.server.read(), Everything((), (PROGRAM,), ()))

    def test_other_format(self) -> None:
        """One of another version is refused, and left as it is."""
        self.command.put_user(ADA, is_new=True)
        connection = sqlite3.connect(self.path)
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
        connection.close()
        for credentials in (self.opened(), self.opened()):
            with self.assertRaisesRegex(StoreError, f"has format {FORMAT + 1}"):
                credentials.put_token(PROGRAM)

    def test_damaged(self) -> None:
        """One that is no database, or not ours, is refused with its name."""
        for octets in (b"x" * 5000, b""):
            folder = self.mktemp()
            os.mkdir(folder)
            credentials = Credentials(folder)
            with open(credentials.path, "wb") as file:
                file.write(octets)
            for call in (credentials.version, credentials.read):
                with self.assertRaisesRegex(StoreError, FILE):
                    call()

    def test_unknown_words(self) -> None:
        """A role that this version does not know, or groups that are no list, are refused."""
        self.command.put_user(ADA, is_new=True)
        for change in ("roles = 'emperor'", "groups = '{'", "groups = '7'"):
            connection = sqlite3.connect(self.path, isolation_level=None)
            connection.execute("UPDATE users SET roles = 'proctor', groups = NULL")
            connection.execute(f"UPDATE users SET {change}")
            connection.close()
            with self.assertRaises(StoreError, msg=change):
                self.server.read()

    def test_no_folder(self) -> None:
        """A folder that cannot be made is said."""
        credentials = Credentials("/dev/null/data")
        with self.assertRaises(StoreError):
            credentials.put_user(ADA, is_new=True)
