"""What the kernel is asked for: new namespaces, a move into those of others, an end together with one's parent."""

import contextlib
import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(Exception):
    """This process may not make the namespaces of a lab; the text says why and what would help."""


def isolate() -> None:
    """New network, mount and PID namespaces for this process's next child; as no root within a new user namespace.

    NamespaceError when neither is allowed.
    """
    kinds = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID
    if os.geteuid() == 0:
        try:
            _check(_libc.unshare(kinds), "unshare")
            return
        except OSError:
            pass  # root of a container without that right; a user namespace may still be allowed
    user, group = os.geteuid(), os.getegid()
    try:
        _check(_libc.unshare(kinds | CLONE_NEWUSER), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError as error:
        raise NamespaceError(_why_not(error)) from None


def own_mounts() -> None:
    """A /run of its own, where `ip netns` keeps its names, and a /proc that shows this PID namespace only."""
    try:
        _mount("", "/", "", MS_REC | MS_PRIVATE)
        _mount("tmpfs", "/run", "tmpfs", 0)
    except OSError as error:
        raise NamespaceError(_why_not(error)) from None
    # A container that hides parts of /proc forbids a whole one; the outer one serves, too.
    with contextlib.suppress(OSError):
        _mount("proc", "/proc", "proc", 0)


def join(pid: int, kind: str) -> None:
    """Move this process (for "pid" its next child) into a namespace of another: "user", "mnt", "pid" or "net"."""
    ours, theirs = Path("/proc/self/ns") / kind, Path(f"/proc/{pid}/ns") / kind
    if kind != "user" or ours.readlink() != theirs.readlink():
        join_file(theirs)


def join_file(path: Path) -> None:
    """Move this process into the namespace that a file stands for."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(handle, 0), f"setns {path}")
    finally:
        os.close(handle)


def own_host_name(name: str) -> None:
    """Seen in a shell's prompt."""
    _check(_libc.unshare(CLONE_NEWUTS), "unshare")
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, None), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


_FORBIDDING = (
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns is 1",
    ),
)
"""System settings that keep user namespaces from those who are not root."""


def _why_not(error: OSError) -> str:
    found = [text for path, value, text in _FORBIDDING if _setting(path) == value]
    reason = " and ".join(found) or f"{error.strerror}; a container often forbids it"
    return (
        "a lab needs network namespaces: run it as root, or where users may make user namespaces. "
        f"Here neither is to be had ({reason})"
    )


def _setting(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""
