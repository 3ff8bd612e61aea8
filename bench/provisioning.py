"""5,000 extensions ticked at once, until all are on the gateway: real programs on loopback, as their owner starts them.

The PBX node makes up the credentials, the suite reads them by the management API, and everything on the way is what a
site has: HTTPS with a pinned certificate, signed requests, sealed secrets, SQLite with each commit on the disk. What is
counted begins with the tick. Ends with 1 when an extension is missing on the gateway, or is not there as wanted.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from opx.sip.digest import Algorithm, ha1
from opx.suite.connectors.opx_node import fingerprint_at
from opx.suite.provisioning.records import ProvisionState
from opx.suite.sites.records import NodeSpec, PbxSpec
from opx.suite.sites.repository import ExtensionQuery
from opx.suite.topics import EXTENSIONS, SITES
from support.network import claim_network
from support.programs import OutsideProgram
from support.real_site import RealSite, cpu_seconds, peak_memory, real_site

EXTENSIONS_USUAL = 5_000
PATIENCE = 600.0
"""Seconds after which a run is given up."""


async def run(count: int, folder: Path) -> int:
    network = claim_network()
    try:
        async with AsyncExitStack() as stack, real_site(folder, network) as site:
            pbx = _pbx(site, count)
            stack.enter_context(pbx)
            await asyncio.to_thread(pbx.wait_for, "ready: PBX")
            gateway, suite = await site.start("gateway"), await site.start("suite")
            await site.token()
            await site.icp(site.node)
            took = await _read(site, folder, count)
            print(f"{count} extensions read from the PBX in {took:.1f} s")
            programs = {"gateway": gateway, "suite": suite}
            await _measure(site, programs)
            return await _missing(site)
    finally:
        network.release()


def _pbx(site: RealSite, count: int) -> OutsideProgram:
    extensions = "".join(f'[[extension]]\nnumber = "{10_000 + n}"\n' for n in range(count))
    path = site.folder / "pbx.toml"
    path.write_text(f'address = "{site.node}"\n{extensions}')
    arguments = [sys.executable, "-m", "opx", "pbx", "run", "--config", str(path)]
    return OutsideProgram(arguments, site.folder / "pbx.txt")


async def _read(site: RealSite, folder: Path, count: int) -> float:
    """Let the suite read the PBX; seconds until all is there."""
    url = f"https://{site.node}:8445/"
    token = (folder / "pbx.token").read_text()
    pbx = await site.sites.save_pbx(PbxSpec("Office", "opx", url, await fingerprint_at(url), token))
    await site.sites.save_node(NodeSpec(pbx.id, "Node 1", site.node))
    began = time.monotonic()
    await site.tell(SITES)

    async def there() -> bool:
        return (await site.sites.extensions(ExtensionQuery(), limit=0))[1] == count

    await site.until(there, "the PBX to be read")
    return time.monotonic() - began


async def _measure(site: RealSite, programs: dict[str, OutsideProgram]) -> None:
    ids = [extension.id for extension in (await site.sites.extensions())[0]]
    before = {name: cpu_seconds(program.pid) for name, program in programs.items()}
    began = time.monotonic()
    refused = [result for result in await site.sites.tick(ids, True) if result.refused]
    ticked = time.monotonic() - began
    await site.tell(EXTENSIONS)
    done = 0
    while done < len(ids) and time.monotonic() < began + PATIENCE:
        await asyncio.sleep(0.1)
        done = (await site.kept.counts()).get(ProvisionState.PROVISIONED, 0)
    took = time.monotonic() - began
    print(f"{len(ids)} ticked in {ticked:.1f} s, {len(refused)} of them refused; {done} on the gateway in {took:.1f} s")
    rate = done / (took - ticked)
    print(f"{done / took:.0f} extensions per second, {rate:.0f} of them without the ticking")
    for name, program in programs.items():
        used = cpu_seconds(program.pid) - before[name]
        print(f"{name}: peak memory {peak_memory(program.pid) / 1e6:.0f} MB, {used:.1f} s of CPU")


async def _missing(site: RealSite) -> int:
    """Extensions that are not on the gateway as wanted."""
    devices = {device.icp_username: device for device in await site.repository.devices()}
    realm = await site.repository.open()
    missing = 0
    for extension in (await site.sites.extensions())[0]:
        device = devices.get(extension.number)
        right = (
            device is not None
            and extension.internal is not None
            and extension.remote is not None
            and (device.set_username, device.icp_password) == (extension.remote.name, extension.internal.password)
            and device.set_ha1["MD5"] == ha1(Algorithm.MD5, device.set_username, realm, extension.remote.password)
        )
        missing += not right
    print(f"{missing} missing or not as wanted")
    return missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--extensions", type=int, default=EXTENSIONS_USUAL)
    parser.add_argument("--quick", action="store_true", help="500 extensions")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="opx-bench-") as folder:
        return 1 if asyncio.run(run(500 if arguments.quick else arguments.extensions, Path(folder))) else 0


if __name__ == "__main__":
    sys.exit(main())
