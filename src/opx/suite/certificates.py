"""The certificate of the suite's HTTPS servers, named after the Client Locations and made anew when these change.

The authority that issued it is in every approved phone, so it is the same for as long as it lasts, whatever the names.
"""

import logging
import ssl
from collections.abc import Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from opx.suite.settings import SuiteSettings
from opx.suite.sites.records import Locations
from opx.suite.sites.repository import SiteRepository
from opx.web.certificates import CertificateInfo
from opx.web.served import ServerCertificate, certificate_report

AUTHORITY = "OPX suite CA"

log = logging.getLogger(__name__)


async def server_certificate(
    settings: SuiteSettings,
    sites: SiteRepository,
    on_notice: Callable[[str], None] = log.warning,
    prepare: Callable[[ssl.SSLContext], None] = lambda context: None,
) -> ServerCertificate:
    """Of the console and of what phones fetch from; give it to `HttpsServer`. For `prepare` see `ServerCertificate`."""
    names = names_of(settings, await sites.locations())

    async def renamed() -> Sequence[str]:
        nonlocal names
        try:
            names = names_of(settings, await sites.locations())
        except (SQLAlchemyError, OSError) as error:
            log.info("the Client Locations cannot be read, the certificate keeps its names: %s", error)
        return names

    certificates = settings.certificates
    return ServerCertificate(
        certificates.folder,
        names,
        AUTHORITY,
        certificates.own,
        constrained=False,
        renamed=renamed,
        prepare=prepare,
        on_notice=on_notice,
    )


def names_of(settings: SuiteSettings, locations: Locations) -> tuple[str, ...]:
    """Host names and addresses by which the suite is reached, from inside and through the gateway."""
    wanted = (
        settings.web_address,
        settings.address,
        *settings.certificates.names,
        locations.local.lower(),
        locations.remote.lower(),
    )
    return tuple(dict.fromkeys(filter(None, wanted)))


def certificates_in_use(settings: SuiteSettings) -> list[CertificateInfo]:
    """The servers' certificate first, the authority's last. CertificateError when a file is missing or broken."""
    return certificate_report(settings.certificates.folder, settings.certificates.own)
