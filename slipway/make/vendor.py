"""Replace the package in vendor/ by the new release's package. copier runs `vendor BEFORE` after an update. BEFORE is
the template's old commit."""

import sys
from pathlib import Path

from slipway.make import come_along, package, pins


def main(before: str) -> None:
    folder, template = Path("vendor"), Path(sys.path[0])
    wheel = package.write(template, folder)
    for other in set(folder.glob(f"{package.NAME}-*.whl")) - {wheel}:
        other.unlink()
    if pins.named():
        pins.replace(wheel)
    else:
        come_along.main(template, before, wheel)


if __name__ == "__main__":
    main(*sys.argv[1:])
