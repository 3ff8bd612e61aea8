"""The certificates of the suite's HTTPS servers, as its settings say."""

import logging
from collections.abc import Callable

from opx.suite.settings import SuiteSettings
from opx.web.served import ServerCertificate

AUTHORITY = "OPX suite CA"

log = logging.getLogger(__name__)


def server_certificate(settings: SuiteSettings, on_notice: Callable[[str], None] = log.warning) -> ServerCertificate:
    """The console's; give it to `HttpsServer`."""
    names = tuple(dict.fromkeys((settings.web_address, *settings.certificates.names)))
    certificates = settings.certificates
    return ServerCertificate(certificates.folder, names, AUTHORITY, certificates.own, on_notice=on_notice)
