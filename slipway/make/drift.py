"""Fail if models have changes without a migration: `drift MANAGE…`, such as `drift python manage.py`.

The variable DRIFT_ALLOWED lists other people's apps, which may lack migrations.
"""

import os
import re
import subprocess
import sys

ASK = ["makemigrations", "--check", "--dry-run", "--no-input", "--no-color"]


def main(manage: list[str], allowed: list[str]) -> int:
    done = subprocess.run([*manage, *ASK], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    apps = re.findall("^Migrations for '(.*)':$", done.stdout, re.MULTILINE)
    if done.returncode and apps and {*apps} <= {*allowed}:
        print(f"make: migrations are missing in {' '.join(apps)}: DRIFT_ALLOWED permits this")
        return 0
    print(done.stdout.replace("No changes detected\n", ""), end="", flush=True)
    if done.returncode:
        sys.stderr.write(
            "make: migrations are missing, see above: run make migrations "
            "(if the app is not yours: add it to DRIFT_ALLOWED)\n"
            if apps
            else "make: makemigrations failed, see above\n"
        )
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("DRIFT_ALLOWED", "").split()))
