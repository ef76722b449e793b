"""Credentials are sent and never shown."""

from __future__ import annotations

import pytest

from bridge.fhir.auth import Auth, BasicAuth, BearerToken, NoAuth


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (NoAuth(), None),
        (BearerToken("s3cret"), "Bearer s3cret"),
        (BasicAuth("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        (BasicAuth("test", "123£"), "Basic dGVzdDoxMjPCow=="),
    ],
)
def test_each_kind_gives_its_header(auth: Auth, header: str | None) -> None:
    """The examples of RFC 7617."""
    assert auth.header() == header
    assert not auth.refresh()


@pytest.mark.parametrize("auth", [BearerToken("s3cret"), BasicAuth("bridge", "s3cret")])
def test_a_secret_never_shows(auth: Auth) -> None:
    shown = f"{auth} {auth!r} {[auth]}"

    assert "s3cret" not in shown
    assert (auth.header() or "x") not in shown
