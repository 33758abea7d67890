"""The two pictures of docs/design.md: a server, and a flip."""

from pathlib import Path

from pictures.svg import Box, arrow, page

IMAGES = Path(__file__).resolve().parents[2] / "docs/images"

SERVER = [
    Box(20, 20, 120, 44, "visitors"),
    Box(200, 14, 150, 56, "nginx", "TLS, static files"),
    arrow(140, 42, 198, 42),
    Box(200, 120, 150, 56, "/run/APP/web.sock", "a symlink"),
    arrow(275, 70, 275, 118),
    Box(60, 230, 200, 92, "slot a: build-41", "web, worker\nsettings: a.env\na/web.sock", "live"),
    Box(300, 230, 200, 92, "slot b: build-42", "web, worker\nsettings: b.env\nb/web.sock", "idle"),
    arrow(245, 176, 180, 228, "live"),
    arrow(305, 176, 380, 228, "after the flip", dashed=True),
    Box(560, 230, 160, 92, "alone", "beat, and processes\nof which one runs"),
    Box(460, 14, 260, 56, "agent", "the deployer's part, one lock"),
    Box(460, 108, 260, 80, "/var/www/APP", "TAG, REVERT, releases.log\nstatic/, media/"),
    arrow(590, 70, 590, 106, "commits"),
    Box(60, 350, 660, 56, "Docker, systemd", "docker-runner starts each unit's container; at boot, the slot of TAG"),
]

STEPS = [("1. start, ready", "b is started and answers /readyz.", "a"),
         ("2. flip", "web.sock names b. No request is lost.", "b"),
         ("3. watch, commit", "b serves. a stays warm, for a rollback.", "b")]
BACK = "If b is not healthy, the host flips back to a by itself: the takeback."


def flip():
    """Yield the parts of the picture: the same host three times."""
    for number, (name, does, live) in enumerate(STEPS):
        x = 20 + number * 250
        yield f'<text x="{x}" y="30">{name}</text><text class="small" x="{x}" y="52">{does}</text>'
        yield Box(x + 60, 74, 100, 40, "nginx")
        for slot, left in (("a", x), ("b", x + 120)):
            kind = "live" if slot == live else "idle"
            yield Box(left, 176, 100, 62, f"slot {slot}", {"a": "build-41", "b": "build-42"}[slot], kind)
        yield arrow(x + 110, 114, x + (50 if live == "a" else 170), 174)
    yield f'<text class="small" x="20" y="272">{BACK}</text>'


def main():
    """Write both pictures."""
    (IMAGES / "server.svg").write_text(page(740, 426, SERVER, "A server"))
    (IMAGES / "flip.svg").write_text(page(760, 292, list(flip()), "A flip"))


if __name__ == "__main__":
    main()
