"""Passwords that commands read out of files, so that none stands on a command line."""

from pathlib import Path

MAX_PASSWORD_FILE_BYTES = 4096


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
