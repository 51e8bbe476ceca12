"""`vidlink user`, `token`, `login` and `logout`, without a server: what is typed, kept and told."""

from __future__ import annotations

import getpass as getpass_module
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.credentials import Credentials
from vidlink.access.hashing import digest_of, is_password, new_token
from vidlink.commands import login, token, user
from vidlink.commands.ls import Options as LsOptions
from vidlink.dialling.address import PROCTOR_PATH, read_address
from vidlink.dialling.token import VARIABLE
from vidlink.errors import UserMistake
from vidlink.model import Role
from vidlink.options import OneLineOptions
from vidlink.terminal import typed
from vidlink.terminal.asking import AskingOptions
from vidlink.terminal.kept import KeptLogin


class LettingCase(SynchronousTestCase):
    """A data folder, and standard streams."""

    def setUp(self) -> None:
        """Nothing is there yet."""
        self.folder = Path(self.mktemp())
        self.said = StringIO()

    def ran(self, module: Any, *words: str, lines: Sequence[str] = ()) -> list[str]:
        """Run a command that nobody types at; the lines of its output."""
        options = module.Options()
        options.parseOptions([*words, "--data", str(self.folder)])
        self.patch(sys, "stdin", StringIO("".join(f"{line}\n" for line in lines)))
        out = StringIO()
        with redirect_stdout(out), redirect_stderr(self.said):
            self.assertEqual(module.run(options), 0)
        return out.getvalue().splitlines()

    def mistake(self, module: Any, *words: str, lines: Sequence[str] = ()) -> str:
        """The one line of a command that is not done."""
        try:
            self.ran(module, *words, lines=lines)
        except SystemExit as ended:
            told = str(ended.code)
        except UserMistake as error:
            told = str(error)
        else:
            self.fail(f"{words} is done")
        self.assertNotIn("\n", told)
        return told

    def everything(self) -> Any:
        """All credentials that there are."""
        return Credentials(str(self.folder)).read()


class UserTests(LettingCase):
    """People."""

    def test_add(self) -> None:
        """A user has a hash of the line that was read, roles and groups; none of it can be read by
        others, whatever the umask."""
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        words = ["add", "ada", "--role", "proctor", "--group", "Room A", "-g", "Room B"]
        self.assertEqual(self.ran(user, *words, lines=["correct horse"]), [
            "ada may log in as proctor"
        ])  # fmt: skip
        (ada,) = self.everything().users
        self.assertEqual((ada.roles, ada.groups), ({Role.PROCTOR}, {"Room A", "Room B"}))
        self.assertTrue(is_password("correct horse", ada.password))
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o750)
        for file in self.folder.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
            self.assertNotIn(b"correct horse", file.read_bytes())
        file.chmod(0o644)
        self.ran(user, "list")
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.assertIn("there is a user ada", self.mistake(user, *words, lines=["correct horse"]))

    def test_passwd_list_remove(self) -> None:
        """A password is changed and the rest kept; a listing has each user; a removed one is
        gone."""
        self.ran(user, "add", "ada", "-r", "administrator", "-r", "auditor", lines=["x" * 8])
        self.ran(user, "passwd", "ada", lines=["another one"])
        (ada,) = self.everything().users
        self.assertEqual((ada.roles, ada.groups), ({Role.ADMINISTRATOR, Role.AUDITOR}, None))
        self.assertTrue(is_password("another one", ada.password))
        head, line = self.ran(user, "list")
        self.assertRegex(head, "^USER +ROLES +GROUPS")
        self.assertRegex(line, "^ada +administrator, auditor +all +here")
        self.ran(user, "remove", "ada")
        self.assertEqual(self.everything().users, ())
        for verb in ("remove", "passwd"):
            self.assertIn("no user ada", self.mistake(user, verb, "ada", lines=["x" * 8]))

    def test_nobody_types(self) -> None:
        """Where nobody types, a line that is missing or too short is one line of complaint, and
        no user is made."""
        words = ["add", "ada", "--role", "administrator"]
        for lines, told in (([], "one line of standard input"), (["short"], "8 to 256")):
            self.assertIn(told, self.mistake(user, *words, lines=lines))
        self.assertEqual(self.everything().users, ())

    def test_typed(self) -> None:
        """A person is asked twice, not shown what they type, and may change their mind."""
        answers: list[str | type[BaseException]] = []
        asked: list[str] = []

        def getpass(question: str) -> str:
            asked.append(question)
            answer = answers.pop(0)
            if isinstance(answer, str):
                return answer
            raise answer

        self.patch(typed, "is_somebody_there", lambda: True)
        self.patch(user, "is_somebody_there", lambda: True)
        self.patch(getpass_module, "getpass", getpass)
        words = ["add", "ada", "--role", "administrator"]
        answers[:] = ["first password", "second password"]
        self.assertIn("two passwords", self.mistake(user, *words))
        answers[:] = [KeyboardInterrupt]
        self.assertEqual(self.mistake(user, *words), "130")
        answers[:] = [EOFError]
        self.assertIn("no password", self.mistake(user, *words))
        answers[:] = ["one password", "one password"]
        self.ran(user, *words)
        self.assertEqual(asked[-2:], ["Password of ada: ", "Once more: "])

    def test_mistakes(self) -> None:
        """What is not clear is refused with one line that says what to do."""
        for words, told in (
            ([], "add|passwd|list|remove"),
            (["ad", "ada"], "say what to do"),
            (["add"], "takes one name"),
            (["list", "ada"], "takes no name"),
            (["add", "ada"], "--role"),
            (["add", "ada", "--role", "root"], "--role takes"),
            (["add", "ada", "--role", "proctor"], "--group or --all-groups"),
            (["add", "ada", "--role", "proctor", "-g", "x", "--all-groups"], "not both"),
            (["add", "a b", "--role", "auditor"], "no user's name"),
            (["add", "ada", "--role", "auditor", "--password", "x"], "password"),
        ):
            self.assertIn(told, self.mistake(user, *words, lines=["x" * 8]))
        self.assertFalse(self.folder.exists())


class TokenTests(LettingCase):
    """Programs."""

    def test_sentinel(self) -> None:
        """The token of a sentinel is bound to its id and its group. It alone is on standard
        output, so that it can be kept in a file, and it is nowhere in the folder."""
        (secret,) = self.ran(token, "add", "desk-12", "--group", "Room A", "--days", "1")
        (one,) = self.everything().tokens
        self.assertEqual(one.digest, digest_of(secret))
        self.assertEqual((one.sentinel_id, one.sentinel_group), ("desk-12", "Room A"))
        self.assertEqual(one.expires_us - one.created_us, 86_400_000_000)
        self.assertIn(one.token_id, self.said.getvalue())
        self.assertNotIn(secret, self.said.getvalue())
        for file in self.folder.iterdir():
            self.assertNotIn(secret.encode(), file.read_bytes())
        head, line = self.ran(token, "list")
        self.assertRegex(head, "^TOKEN +FOR")
        self.assertRegex(line, f"^{one.token_id} +desk-12 +sentinel +Room A")
        self.assertEqual(self.ran(token, "revoke", one.token_id), [f"{one.token_id} is revoked"])
        self.assertIn("no token", self.mistake(token, "revoke", one.token_id))

    def test_script(self) -> None:
        """That of a script has roles, and groups if it is a proctor's."""
        self.ran(token, "add", "nightly export", "-r", "proctor", "--all-groups")
        (one,) = self.everything().tokens
        self.assertEqual((one.roles, one.groups, one.sentinel_id), ({Role.PROCTOR}, None, None))

    def test_mistakes(self) -> None:
        """What is not clear is refused with one line that says what to do."""
        for words, told in (
            (["add", "nightly export"], "--role"),
            (["add", "desk-12", "-g", "a", "-g", "b"], "one group"),
            (["add", "desk-12", "--days", "0"], "--days"),
            (["add", "x" * 65, "-r", "auditor"], "1 to 64"),
            (["add", "bell\a", "-r", "auditor"], "1 to 64"),
            (["revoke"], "takes one name"),
        ):
            self.assertIn(told, self.mistake(token, *words))


class KeptCase(SynchronousTestCase):
    """Settings in a folder of their own."""

    def setUp(self) -> None:
        """Nobody has logged in yet."""
        self.settings = Path(self.mktemp()).absolute()
        self.environ = {"XDG_CONFIG_HOME": str(self.settings)}

    def kept(self, server: str) -> KeptLogin:
        """The login at a server."""
        address = read_address(server, MemoryReactorClock(), PROCTOR_PATH)
        return KeptLogin(server, address, self.environ)


class KeptTests(KeptCase):
    """Logins that are kept for the commands."""

    def test_private(self) -> None:
        """Whatever the umask, nobody else reads it; a new one takes its place; what is forgotten
        is gone."""
        self.addCleanup(os.umask, os.umask(0))
        kept, first, second = self.kept("http://127.0.0.1:8080"), new_token(), new_token()
        self.assertIsNone(kept.token())
        for one in (first, second):
            kept.keep(one)
            self.assertEqual(kept.token(), one)
        (file,) = Path(kept.path).parent.iterdir()
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        for folder in (file.parent, file.parent.parent):
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode) & 0o077, 0)
        kept.forget()
        kept.forget()
        self.assertIsNone(kept.token())

    def test_of_each_server(self) -> None:
        """Each server has its own, whichever way it is written."""
        same = ["http://127.0.0.1:8080", "ws://127.0.0.1:8080/", "tcp:127.0.0.1:8080"]
        others = ["http://127.0.0.1:8081", "https://127.0.0.1:8080", "unix:/a", "unix:/b"]
        self.assertEqual(len({self.kept(one).path for one in same}), 1)
        self.assertEqual(len({self.kept(one).path for one in [same[0], *others]}), 5)

    def test_usual_place(self) -> None:
        """Settings that are named by no whole path are in the usual place."""
        for value in ("", "relative"):
            self.environ["XDG_CONFIG_HOME"] = value
            kept = self.kept("http://127.0.0.1:8080")
            self.assertTrue(kept.path.startswith(os.path.expanduser("~/.config/vidlink/logins/")))

    def test_unwritable(self) -> None:
        """Where it cannot be written one line says so, without what should have been."""
        self.settings.write_text("a file")
        secret = new_token()
        mistake = self.assertRaises(UserMistake, self.kept("unix:/a").keep, secret)
        self.assertIn("cannot keep the login", str(mistake))
        self.assertNotIn(secret, str(mistake))


class WhichTokenTests(KeptCase):
    """The token that a command shows."""

    def shown(self, *words: str, **environ: str) -> object:
        """It, in this environment."""
        quiet = {name: value for name, value in os.environ.items() if name != VARIABLE}
        self.patch(os, "environ", {**quiet, **self.environ, **environ})
        options: OneLineOptions = LsOptions()
        options.parseOptions(list(words))
        assert isinstance(options, AskingOptions)
        return options.shown(MemoryReactorClock())["token"]

    def test_order(self) -> None:
        """That of the option's file, or that of the variable, or that of the login."""
        first, second, third = new_token(), new_token(), new_token()
        self.assertIsNone(self.shown())
        self.kept("http://127.0.0.1:8080").keep(third)
        self.assertEqual(self.shown(), third)
        self.assertIsNone(self.shown("--server", "http://127.0.0.1:8081"))
        self.assertEqual(self.shown(VIDLINK_TOKEN=second), second)
        file = self.settings / "token"
        file.write_text(first)
        self.assertEqual(self.shown("--token-file", str(file), VIDLINK_TOKEN=second), first)
        self.assertRaises(UserMistake, self.shown, "--token-file", str(file) + "x")


class LoginTests(SynchronousTestCase):
    """What `vidlink login` does before it asks the server."""

    def test_in_the_clear(self) -> None:
        """A password that would go in the clear to another machine is not even asked for."""
        options = login.Options()
        options.parseOptions(["ada", "--server", "http://192.0.2.1:8080"])
        self.patch(sys, "stdin", None)
        mistake = self.assertRaises(UserMistake, login.run, options)
        self.assertIn("https://", str(mistake))

    def test_nobody_types(self) -> None:
        """Where nobody types, the user has to be named."""
        options = login.Options()
        options.parseOptions([])
        self.patch(sys, "stdin", StringIO("secret\n"))
        self.assertIn("who", str(self.assertRaises(UserMistake, login.run, options)))
