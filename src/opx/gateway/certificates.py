"""The certificates of the gateway's HTTPS servers, as its settings say."""

import logging
from collections.abc import Callable

from opx.gateway.settings import GatewaySettings
from opx.web.certificates import CertificateInfo
from opx.web.served import ServerCertificate, certificate_report

AUTHORITY = "OPX gateway CA"

log = logging.getLogger(__name__)


def server_certificate(settings: GatewaySettings, on_notice: Callable[[str], None] = log.warning) -> ServerCertificate:
    """For a server of the LAN side, whose certificate names the inside address; give it to `HttpsServer`."""
    return ServerCertificate(
        settings.certificates.folder,
        settings.certificate_names,
        AUTHORITY,
        settings.certificates.own,
        on_notice=on_notice,
    )


def certificates_in_use(settings: GatewaySettings) -> list[CertificateInfo]:
    """The server's certificate first, the authority's last. CertificateError when a file is missing or broken."""
    return certificate_report(settings.certificates.folder, settings.certificates.own)


def near_expiry(settings: GatewaySettings, now: float) -> list[CertificateInfo]:
    """Those in use that expire within `certificates.warn_days`, or have; `now` in seconds since 1970. CertificateError.

    The dashboard and alarms ask this; a private server certificate is renewed before, its authority is not.
    """
    return [info for info in certificates_in_use(settings) if info.days_left(now) < settings.certificates.warn_days]
