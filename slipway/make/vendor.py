"""Replace the package in vendor/ by the new release's package. copier runs `vendor` after an update."""

from pathlib import Path

from slipway.make import package, pins


def main() -> None:
    folder = Path("vendor")
    wheel = package.write(Path(__file__).absolute().parents[2], folder)
    for other in set(folder.glob(f"{package.NAME}-*.whl")) - {wheel}:
        other.unlink()
    pins.replace(wheel)


if __name__ == "__main__":
    main()
