"""What a set-side password must be like, and what is made up."""

import pytest

from opx.gateway.passwords import made_up_password, weakness_of


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "it has hardly any different characters"),
        ("aaaaaaaaaaaaaaaaaaaaaa", "it has hardly any different characters"),
        ("12345678", "it is too short"),
        ("Xy9!a", "it is too short"),
        ("my-TW1-password-9", "it holds the user name"),
        ("Xy9!ab-q", ""),
        ("correct horse battery", ""),
    ],
)
def test_a_password_is_weak_when_it_is_quickly_guessed(password: str, why: str) -> None:
    assert weakness_of(password, "tw1") == why


def test_a_password_made_up_never_holds_a_short_user_name() -> None:
    made_up = [made_up_password("t") for _ in range(50)]
    assert len(set(made_up)) == 50
    assert not any("t" in password.lower() for password in made_up)
