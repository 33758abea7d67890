"""Tests of the options of URLs in production's settings. slipway/tests has those of each kind."""

from docker.test_settings_docker import LEAST, check


def test_options_of_urls_are_read_at_the_start():
    """A wrong one is told with all other problems, not as an error of each page."""
    lines = check(
        **{**LEAST, "DATABASE_URL": "postgres://u:p@h/n?sslmode=maybe"},
        CACHE_URL="redis://h?protocol=9",
        BROKER_URL="rediss://h/0?ssl_cert_reqs=maybe",
        EMAIL_URL="smtp://h?timeout=5",
    )
    assert [line.split()[1] for line in lines] == ["EMAIL_URL", "CACHE_URL", "BROKER_URL", "DATABASE_URL"], lines
    assert "settings: CACHE_URL has the option protocol that is not one of 2, 3; for example CACHE_URL=" in lines[1]
