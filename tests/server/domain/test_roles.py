"""Roles, and what a user may be called."""

import pytest

from engineshed_server.domain.roles import Role, check_user_name
from engineshed_server.errors import Refused


def test_each_role_covers_those_before_it_and_itself() -> None:
    covered = {role.value: [one.value for one in Role if role.covers(one)] for role in Role}
    assert covered == {
        "viewer": ["viewer"],
        "admin": ["viewer", "admin"],
        "owner": ["viewer", "admin", "owner"],
    }


@pytest.mark.parametrize(("text", "name"), [("anna", "anna"), (" Anna.B-2_c ", "anna.b-2_c"), ("7", "7")])
def test_a_name_is_lower_case_without_spaces_around(text: str, name: str) -> None:
    assert check_user_name(text) == name


@pytest.mark.parametrize("text", ["", ".anna", "anna-", "an na", "änna", "a/b", "a" * 65, "anna\n\nb", "<b>"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        check_user_name(text)
    assert caught.value.code == "user-name"
