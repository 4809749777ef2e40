"""Passwords: hashed by argon2id, refused when weak, and never told apart by time."""

import threading
from typing import Literal

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters

from engineshed_server.errors import Refused, TryLater
from engineshed_server.services import passwords

GOOD = "four words in a row"


def test_the_right_password_is_told_from_every_other() -> None:
    with passwords.turn():
        stored = passwords.hash_password(GOOD)
        told = [passwords.is_password(one, stored) for one in (GOOD, GOOD + " ", "", GOOD.upper())]
    assert told == [True, False, False, False]


def test_what_is_stored_is_argon2id_with_a_salt_of_its_own() -> None:
    with passwords.turn():
        one, other = passwords.hash_password(GOOD), passwords.hash_password(GOOD)
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != other


def test_nobodys_password_is_never_right() -> None:
    with passwords.turn():
        assert not passwords.is_password("nobody's password", None)


def test_a_hash_that_cannot_be_read_is_nobodys() -> None:
    with passwords.turn():
        assert not passwords.is_password(GOOD, "$argon2id$nonsense")


def test_a_hash_of_other_costs_is_outdated() -> None:
    with passwords.turn():
        stored = passwords.hash_password(GOOD)
    assert not passwords.is_outdated(stored)
    assert passwords.is_outdated(stored.replace("t=2", "t=1"))


def test_a_wrong_password_costs_the_same_for_nobody_as_for_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash of the same costs is computed for both: nothing else here takes time worth measuring."""
    verified: list[Parameters] = []

    class Noting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            verified.append(extract_parameters(str(hash)))
            return super().verify(hash, password)

    with passwords.turn():
        stored = passwords.hash_password(GOOD)
        monkeypatch.setattr(passwords, "_HASHER", Noting.from_parameters(extract_parameters(stored)))
        for password_hash in (stored, None):
            assert not passwords.is_password("something else", password_hash)
    somebodys, nobodys = verified
    assert somebodys == nobodys


@pytest.mark.parametrize("password", ["short", "x" * 201, "aaaaaaaaaaaa", "anna anna anna", ""])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(Refused) as caught:
        passwords.check_password(password, user_name="anna")
    assert caught.value.code == "password-weak"
    assert password[:5] not in caught.value.message or len(password) < 5 or password == "aaaaaaaaaaaa"


def test_who_cannot_wait_for_his_turn_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "TURN_S", 0.05)
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with passwords.turn():
            taken.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(10)
    with pytest.raises(TryLater) as caught, passwords.turn():
        pass
    done.set()
    holder.join()
    assert caught.value.code == "login-busy"
    with passwords.turn():
        pass
