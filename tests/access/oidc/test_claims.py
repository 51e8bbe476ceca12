"""Tests of :mod:`vidlink.access.oidc.claims` and of the settings: who is who, and who may what."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.providers import SETTINGS, claims
from vidlink.access.credentials import Credentials, Login, User
from vidlink.access.oidc.claims import LONGEST_VALUE, MOST_VALUES, person, user_name
from vidlink.access.oidc.settings import read_settings, role_given, scope_asked
from vidlink.commands.user import _NAME
from vidlink.errors import LoginRefused, UserMistake
from vidlink.model import Role
from vidlink.server.tap import Options

OTHER_ISSUER = "https://id.example.net"


class PersonTests(SynchronousTestCase):
    """Claims, and what they give."""

    def found(self, **said: object) -> User:
        """The user of these claims, times at 7."""
        return person(claims(**said), SETTINGS, 7).user

    def test_roles(self) -> None:
        """Roles come of values that were named, and of nothing that looks like one."""
        proctor, administrator = frozenset({Role.PROCTOR}), frozenset({Role.ADMINISTRATOR})
        for said, roles in (
            (["teachers"], proctor),
            ("teachers", proctor),
            (["x", "staff-it", 7, None, "teachers"], proctor | administrator),
        ):
            self.assertEqual(self.found(groups=said).roles, roles)
        near = (["Teachers"], ["teachers "], "teachers,staff-it", {"teachers": 1}, [["teachers"]])
        for other in (*near, [], None, "", True, 7, [*["x"] * MOST_VALUES, "teachers"]):
            with self.assertRaisesRegex(LoginRefused, "gives you a role"):
                self.found(groups=other)

    def test_groups(self) -> None:
        """A proctor sees the groups of the claim and none without it; an administrator, and anybody
        where the operator says so, sees all."""
        self.assertEqual(self.found(rooms=["a", "b"]).groups, {"a", "b"})
        self.assertEqual(self.found(rooms=None).groups, frozenset())
        self.assertEqual(self.found(rooms=["x" * (LONGEST_VALUE + 1), 3, ""]).groups, frozenset())
        self.assertIsNone(self.found(groups="staff-it").groups)
        everybody = replace(SETTINGS, groups_claim=None)
        self.assertIsNone(person(claims(), everybody, 7).user.groups)

    def test_inner_claim(self) -> None:
        """A claim may be inside others, by dots, or have dots in its name."""
        inside = replace(SETTINGS, roles_claim="realm_access.roles")
        for said in (
            {"realm_access": {"roles": ["staff-it"]}},
            {"realm_access.roles": "staff-it"},
        ):
            self.assertEqual(person(claims(**said), inside, 7).user.roles, {Role.ADMINISTRATOR})
        wrongs: tuple[object, ...] = (None, "staff-it", {"roles": {}})
        for wrong in wrongs:
            self.assertRaises(LoginRefused, person, claims(realm_access=wrong), inside, 7)

    def test_subject(self) -> None:
        """Somebody without a subject, or with one that is none, is nobody."""
        for subject in (None, "", 7, "x" * 256):
            self.assertRaises(LoginRefused, self.found, sub=subject)

    def test_called(self) -> None:
        """What people call somebody is told in a line of its own, whatever it is."""
        for said, called in (
            ({"preferred_username": "ada", "email": "a@b.c"}, "ada"),
            ({"email": "a@b.c"}, "a@b.c"),
            ({"name": "Zo\u00eb \u202e<b>\x1b[31m\nroot"}, "Zo\u00eb b31mroot"),
            ({"name": 3}, ""),
        ):
            self.assertEqual(person(claims(**said), SETTINGS, 7).called, called)

    @given(strategies.text(min_size=1, max_size=255) | strategies.just("x" * 255))
    def test_names(self, subject: str) -> None:
        """Whatever a subject is, the name is short and plain, no local one, and of nobody else."""
        name = user_name(SETTINGS.issuer, subject)
        self.assertTrue(re.fullmatch(r"oidc:[A-Za-z0-9._@-]{0,36}:[0-9a-f]{20}", name, re.ASCII))
        self.assertLessEqual(len(name), 64)
        self.assertIsNone(_NAME.fullmatch(name))
        self.assertEqual(name, user_name(SETTINGS.issuer, subject))
        for other in (f"{subject} ", f"{subject}\u00e9", subject.swapcase() + "0"):
            self.assertNotEqual(name, user_name(SETTINGS.issuer, other))
        self.assertNotEqual(name, user_name(OTHER_ISSUER, subject))


class KeptTests(SynchronousTestCase):
    """Users whom a provider vouches for, among the credentials."""

    def setUp(self) -> None:
        """No credentials."""
        self.book = Credentials(self.mktemp())
        self.addCleanup(self.book.close)
        self.user = User("oidc:x:1", None, frozenset({Role.PROCTOR}), frozenset({"a"}), 1)

    def log_in(self) -> None:
        """Log the user in."""
        self.book.put_login(Login("l", b"d", self.user.name, 1, 2, "", ""), 9)

    def test_same(self) -> None:
        """Whoever may do the same as before stays logged in where they are."""
        self.book.put_vouched(self.user)
        self.log_in()
        self.book.put_vouched(replace(self.user, changed_us=2))
        found = self.book.read()
        self.assertEqual((found.users, len(found.logins)), ((self.user,), 1))

    def test_changed(self) -> None:
        """Whoever may do something else is logged out everywhere."""
        later = replace(self.user, changed_us=2)
        for changed in (
            replace(later, groups=frozenset({"b"})),
            replace(later, groups=None),
            replace(later, roles=frozenset({Role.AUDITOR})),
        ):
            self.book.put_vouched(self.user)
            self.log_in()
            self.book.put_vouched(changed)
            found = self.book.read()
            self.assertEqual((found.users, found.logins), ((changed,), ()))

    def test_local_name(self) -> None:
        """Nobody who is vouched for can be a user of our own, whatever they are called."""
        local = User("ada", "hash", frozenset({Role.ADMINISTRATOR}), None, 1)
        self.book.put_user(local, is_new=True)
        for user in (replace(self.user, name="ada"), replace(self.user, password="hash")):
            self.assertRaises(UserMistake, self.book.put_vouched, user)
        self.assertEqual(self.book.read().users, (local,))


class OptionTests(SynchronousTestCase):
    """The options of the server."""

    def read(self, *words: str) -> Any:
        """The settings of a command line."""
        options = Options()
        options.parseOptions(list(words))
        return options["oidc"]

    def test_whole(self) -> None:
        """The options together are the settings; what is left out has its usual value."""
        secret = Path(self.mktemp())
        secret.write_text("sesame\n")
        whole = self.read(
            *("--oidc-issuer", SETTINGS.issuer, "--oidc-name", "the school"),
            *("--oidc-client-id", "vidlink", "--oidc-client-secret-file", str(secret)),
            *("--oidc-role", "administrator=staff-it", "--oidc-role", "proctor=teachers"),
            *("--oidc-roles-claim", "groups", "--oidc-groups-claim", "rooms"),
        )
        self.assertEqual(whole, SETTINGS)
        least = self.read(
            *("--oidc-issuer", SETTINGS.issuer, "--oidc-client-id", "vidlink"),
            *("--oidc-role", "auditor=a=b", "--oidc-scope", "groups"),
        )
        self.assertEqual(
            least,
            replace(
                SETTINGS,
                name="id.example.org",
                secret=None,
                roles=((Role.AUDITOR, "a=b"),),
                groups_claim=None,
                scopes=("openid", "groups"),
            ),
        )
        self.assertIsNone(self.read())

    def test_mistakes(self) -> None:
        """Each mistake is one line that says what to do."""
        issuer = ("--oidc-issuer", SETTINGS.issuer)
        client = (*issuer, "--oidc-client-id", "x")
        role = (*client, "--oidc-role", "auditor=a")
        empty = Path(self.mktemp())
        empty.touch()
        for words, said in (
            (("--oidc-client-id", "x"), "needs --oidc-issuer"),
            (("--oidc-role", "auditor=a"), "needs --oidc-issuer"),
            (("--oidc-all-groups",), "needs --oidc-issuer"),
            (issuer, "--oidc-client-id"),
            (client, "nobody could log in"),
            ((*role, "--no-auth"), "not both"),
            ((*client, "--oidc-role", "proctor=a"), "whose screens a proctor sees"),
            ((*role, "--oidc-all-groups", "--oidc-groups-claim", "x"), "not both"),
            ((*client, "--oidc-role", "sentinel=a"), "--oidc-role takes a role"),
            ((*client, "--oidc-role", "auditor="), "--oidc-role takes a role"),
            ((*role, "--oidc-scope", "a b"), "--oidc-scope takes one scope"),
            ((*role, "--oidc-client-secret-file", "/nowhere"), "cannot be read"),
            ((*role, "--oidc-client-secret-file", str(empty)), "is empty"),
        ):
            left = self.assertRaises(SystemExit, self.read, *words)
            self.assertIn(said, str(left.code))
            self.assertNotIn("\n", str(left.code))
        for text in (
            "http://id.example.org",
            "id.example.org",
            "https://",
            "https://id.example.org?x",
            "https://id.example.org/#",
            "https://a:b@id.example.org",
            "https://id.example.org:x",
            "https://id example.org",
            "",
        ):
            left = self.assertRaises(SystemExit, self.read, "--oidc-issuer", text)
            self.assertIn("takes the https:// address", str(left.code))

    def test_loopback(self) -> None:
        """A provider on the same machine may be without TLS."""
        for host in ("localhost", "127.0.0.1"):
            words = ("--oidc-issuer", f"http://{host}:5556/dex", "--oidc-client-id", "x")
            found = self.read(*words, "--oidc-role", "auditor=a")
            self.assertEqual(found.name, host)

    def test_words(self) -> None:
        """Roles and scopes are read as they are written."""
        self.assertEqual(role_given("proctor=x y"), (Role.PROCTOR, "x y"))
        self.assertEqual(scope_asked("offline:x"), "offline:x")
        self.assertIsNone(read_settings(Options() | {"no-auth": 0}))
