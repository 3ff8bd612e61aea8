"""What a set-side password must be like, and where one comes from."""

import math
import secrets
import string
from pathlib import Path

MIN_PASSWORD_BITS = 40
"""Rough strength below which a password counts as weak: SIP passwords are guessed at network speed."""
MAX_PASSWORD_FILE_BYTES = 4096
GENERATED_BYTES = 15
"""Of randomness in a password made up: 20 characters to type into a phone."""


def weakness_of(password: str, username: str) -> str:
    """Why a password is weak, "" when it is not."""
    if username and username.lower() in password.lower():
        return "it holds the user name"
    if len(set(password)) < 5:
        return "it has hardly any different characters"
    classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    alphabet = sum(len(group) for group in classes if any(char in group for char in password))
    if any(not char.isalnum() for char in password):
        alphabet += 20
    if len(password) * math.log2(max(alphabet, 2)) < MIN_PASSWORD_BITS:
        return "it is too short"
    return ""


def made_up_password(username: str) -> str:
    """A random set-side password that `weakness_of` has nothing against (short user names occur in random text)."""
    while weakness_of(password := secrets.token_urlsafe(GENERATED_BYTES), username):
        pass
    return password


def read_password(path: Path) -> str:
    """The password that is all of a file, a line end behind it apart. ValueError says what is wrong with it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PASSWORD_FILE_BYTES + 1)
        password = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); expected a file with the password") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; expected a file with the password") from None
    if not password or len(data) > MAX_PASSWORD_FILE_BYTES:
        raise ValueError(f"{path} is empty or too large; expected a file with the password")
    return password
