"""The changes that a team makes to its project in the first weeks."""

import shutil

from proc import UV, append, output, put

APP = {
    "project/shop/__init__.py": "",
    "project/shop/models.py": "from django.db import models\n\n\nclass Book(models.Model):\n"
    "    title = models.CharField(max_length=50)\n",
    "project/shop/tests.py": "from django.test import TestCase\n\nfrom .models import Book\n\n\n"
    "class BookTest(TestCase):\n    def test_book(self):\n"
    '        self.assertEqual(Book.objects.create(title="One").pk, 1)\n',
}
DROPPED = ["deploy/README.md", "project/home", "project/tests.py", "deploy/staging.toml"]


def work(project):
    """Add an app, settings, a package, a target, a process and another front page, and remove some files."""
    for path, text in APP.items():
        put(project.folder / path, text)
    settings = "project/settings_base.py"
    project.edit(settings, "INSTALLED_APPS = [\n", 'SHOP_OPEN = True\n\nINSTALLED_APPS = [\n    "project.shop",\n')
    project.edit(settings, '    "project.home",\n', "")
    project.edit("project/urls.py", '    path("", include("project.home.urls")),\n', "")
    append(project.folder / "project/settings_docker.py", "MIDDLEWARE = [*MIDDLEWARE]\n")
    output([UV, "add", "--quiet", "--no-sync", "django-filter"], cwd=project.folder, env=project.env)
    project.edit(".gitlab-ci.yml", "  TAG: ", "  SHOP: open\n  TAG: ")
    append(project.folder / "Makefile", "\nopening: ## open the shop\n\t@echo open\n")
    append(project.folder / "Procfile.dev", "alerts: exec sleep 1000\n")
    append(project.folder / "README.md", "\nWe sell books.\n")
    for path in DROPPED:
        project.git("rm", "-r", "--quiet", path)
        shutil.rmtree(project.folder / path, ignore_errors=True)
    assert project.make("migrations", "ARGS=shop").returncode == 0
    project.commit("Sell books")
