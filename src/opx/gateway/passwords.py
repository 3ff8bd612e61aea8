"""What a set-side password must be like, and where one comes from."""

import math
import secrets
import string

MIN_PASSWORD_BITS = 40
"""Rough strength below which a password counts as weak: SIP passwords are guessed at network speed."""
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
