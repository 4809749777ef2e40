"""The line an admin pastes and what an engine is given for it."""

import json
from dataclasses import replace

import pytest

from engineshed_packages.enrolment import (
    EnrolAnswer,
    EnrolLine,
    EnrolRequest,
    OrderKey,
    TokenAnswer,
    TokenRequest,
    check_portal_url,
)
from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.ids import new_id
from engineshed_packages.versions import Version

KEY = OrderKey(public=bytes(range(32)))


def a_line() -> EnrolLine:
    return EnrolLine(
        portal="https://portal.example:8443/shed",
        token="t0k3n",
        order_key=KEY.fingerprint,
        standby="sha256:" + "1" * 64,
        ca="sha256:" + "0" * 64,
    )


def test_the_line_reads_back_the_same() -> None:
    assert EnrolLine.parse(a_line().text() + "\n") == a_line()


def test_a_line_of_a_portal_that_names_no_standby_key_and_no_ca_is_read() -> None:
    line = replace(a_line(), standby=None, ca=None)
    assert EnrolLine.parse(line.text()) == line


@pytest.mark.parametrize("absent", ["portal=", "token=", "order_key="])
def test_a_line_that_lost_a_word_says_which(absent: str) -> None:
    text = " ".join(word for word in a_line().text().split() if not word.startswith(absent))
    with pytest.raises(ProtocolRefused, match=absent[:-1]):
        EnrolLine.parse(text)


@pytest.mark.parametrize(
    "text", ["", "hello", "engineshed9 portal=https://a token=x", "engineshed1 " + "x" * 3000]
)
def test_another_text_is_no_enrolment_line(text: str) -> None:
    with pytest.raises(ProtocolRefused) as refusal:
        EnrolLine.parse(text)
    assert refusal.value.code == "enrol-line"


def test_a_refused_line_does_not_repeat_its_token() -> None:
    text = a_line().text().replace("sha256:", "md5:")
    with pytest.raises(ProtocolRefused) as refusal:
        EnrolLine.parse(text)
    assert "t0k3n" not in refusal.value.message


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "portal.example",
        "https://",
        "https://u:p@x",
        "https://x/?a=b",
        "https://x/#f",
        "http://x:99999",
    ],
)
def test_a_portal_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ProtocolRefused) as refusal:
        check_portal_url(url)
    assert refusal.value.code == "portal-url"


def test_the_answer_reads_back_the_same() -> None:
    answer = EnrolAnswer(
        portal=new_id("ptl"),
        engine=new_id("eng"),
        secret="s" * 32,
        order_keys=(KEY, OrderKey(public=bytes(32))),
        portals=("https://a.example", "https://b.example"),
    )
    assert EnrolAnswer.from_bytes(answer.to_bytes()) == answer


@pytest.mark.parametrize("name", ["order_keys", "portals"])
def test_an_answer_without_keys_or_portals_is_refused(name: str) -> None:
    answer = EnrolAnswer(
        portal=new_id("ptl"),
        engine=new_id("eng"),
        secret="s",
        order_keys=(KEY,),
        portals=("https://a.example",),
    )
    values = {**json.loads(answer.to_bytes()), name: []}
    with pytest.raises(ProtocolRefused):
        EnrolAnswer.from_bytes(json.dumps(values).encode())


def test_the_requests_read_back_the_same() -> None:
    request = EnrolRequest(
        token="t",
        product="sample-engine",
        platform="linux-x86_64",
        version=Version.parse("1.0"),
        host_name="h",
        updater_version="0.1.0",
    )
    assert EnrolRequest.from_bytes(request.to_bytes()) == request
    token = TokenRequest(engine=new_id("eng"), secret="s")
    assert TokenRequest.from_bytes(token.to_bytes()) == token
    answer = TokenAnswer(access_token="x.y.z", expires_s=1800)
    assert TokenAnswer.from_bytes(answer.to_bytes()) == answer


def test_a_key_is_named_by_its_own_digest() -> None:
    assert KEY.keyid == "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"


@pytest.mark.parametrize("text", ["", "ab", "AB" * 32, "zz" * 32, "ab" * 33])
def test_a_key_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ProtocolRefused) as refusal:
        OrderKey.from_hex(text)
    assert refusal.value.code == "order-key"
