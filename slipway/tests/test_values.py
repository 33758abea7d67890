"""Tests of production's variables: the values that they accept, and the settings made from them."""

import ssl
from typing import Any

from django.test import SimpleTestCase

from .. import production, values


class Site(SimpleTestCase):
    def test_taken(self) -> None:
        """A public site is secure, and only its own host is allowed. Only a site on this machine may use http, and
        all local names are then allowed."""
        site = values.site("https://shop.example:8443/")
        self.assertEqual((site.host, site.origin, site.secure), ("shop.example", "https://shop.example:8443", True))
        self.assertEqual(production.hosts(site), ["shop.example"])
        for text in ("http://localhost:8000", "http://shop.localhost", "http://127.0.0.1", "http://[::1]:8000"):
            self.assertFalse(values.site(text).secure)
            self.assertIn("127.0.0.1", production.hosts(values.site(text)))

    def test_refused(self) -> None:
        """Site addresses of any other form are refused. The error does not repeat them."""
        for text in (
            "shop.example",
            "http://shop.example",
            "http://localhost.shop.example",
            "https://?",
            "ftp://a.b",
            "https://a.b/shop",
            "https://a.b?c",
            "https://user@a.b",
            "https://a.b:port",
            "https://user:secret\u2100@a.b",
            "https://m\xfcller.example",
            "https://a.b.",
            "https://a b.example",
            "https://a.b ",
            "https://a.b\\c",
            "https://a..b",
            "https://a.\nb",
            "https://-a.b",
            "https://a.b:",
        ):
            with self.subTest(text), self.assertRaises(ValueError) as caught:
                values.site(text)
            self.assertNotIn(text.removeprefix("https://"), str(caught.exception))
        self.assertEqual(values.site("https://Shop.example").origin, "https://shop.example")


class Secrets(SimpleTestCase):
    RANDOM = "0123456789abcdef" * 4

    def test_taken(self) -> None:
        """The output of `openssl rand` is accepted; a token may also be shorter random text. Commas separate keys."""
        self.assertEqual(values.secret_keys(f"{self.RANDOM}, {self.RANDOM}"), [self.RANDOM, self.RANDOM])
        self.assertEqual(values.token("q8Zp+w/3kRtY1uVb7xNc"), "q8Zp+w/3kRtY1uVb7xNc")

    def test_refused(self) -> None:
        """Secrets that are short, repetitive, from samples, or unfit for a header are refused."""
        for parse, text in (
            (parse, text)
            for parse, texts in (
                (
                    values.secret_key,
                    (
                        "x",
                        self.RANDOM[:49],
                        "x" * 80,
                        "abcabcabc" * 9,
                        "django-insecure-" + self.RANDOM,
                        "<output of: openssl rand -hex 32> 0123456789abcdef",
                    ),
                ),
                (values.secret_keys, (f"{self.RANDOM},",)),
                (
                    values.token,
                    (
                        "s3cret-token",
                        "0123456789abcdef012",
                        "x" * 64,
                        "changeme-0123456789abcdef",
                        "0123456789 abcdef 0123456789",
                        "0123456789abcdef0123456789abcdef\xfc",
                    ),
                ),
            )
            for text in texts
        ):
            with self.subTest(text), self.assertRaises(ValueError) as caught:
                parse(text)
            self.assertNotIn(text, str(caught.exception)[3:])


class Services(SimpleTestCase):
    def test_mail(self) -> None:
        """Mail uses TLS unless the URL begins with smtp+plain. User and password may contain any character."""
        for text, found in (
            ("smtp://me%40here:p%2Fw@mail.example", ("me@here", "p/w", 587, True, False)),
            ("smtps://mail.example", ("", "", 465, False, True)),
            ("smtp+plain://mail.example:2525", ("", "", 2525, False, False)),
        ):
            mail = values.mail(text)
            self.assertEqual((mail.user, mail.password, mail.port, mail.starttls, mail.tls), found)

    def test_tls_of_brokers(self) -> None:
        """The certificate is checked. A URL of Redis may name authorities of its own, as for Slipway's services."""
        url = "rediss://:p@10.0.0.2:6379/0"
        checked = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
        self.assertEqual(values.broker_tls(url), checked)
        authorities = "/run/services/redis.crt"
        own = values.broker_tls(f"{url}?ssl_ca_certs={authorities}")
        self.assertEqual(own, {**checked, "ssl_ca_certs": authorities})
        self.assertIs(values.broker_tls(url.replace("rediss", "redis")), False)

    def test_refused(self) -> None:
        """URLs of another kind are refused."""
        for parse, text in (
            (values.mail, "mail.example"),
            (values.mail, "smtp://"),
            (values.broker, "kafka://a"),
            (values.broker, "redis://"),
            (values.broker, "redis://a:b"),
            (values.broker, "redis+socket://:s3@host"),
            (values.broker, "redis://a/x"),
            (values.broker, "redis://a/0?visibility_timeout=5"),
            (values.broker, "rediss://a/0?ssl_cert_reqs=maybe"),
            (values.broker, "rediss://a/0?ssl_ca_certs=/none/x"),
            (values.broker, "redis+socket:///run/redis.sock?virtual_host=x"),
            (values.broker, "redis+socket:///run/redis.sock?db=1"),
            (values.broker, "amqp://a//?heartbeat=often"),
            (values.broker, "amqps://a//?login_method=none"),
            (values.broker, "amqp://a//?ssl_cert_reqs=required"),
            (values.mail, "smtp://mail.example?timeout=5"),
            (values.mail, "smtp://mail.example/?ssl=true"),
            (values.bucket, "s3://k:s@a/b?regoin=eu"),
            (values.bucket, "s3://k:s@a/b?region="),
            (values.bucket, "s3://a@b/c"),
            (values.bucket, "https://k:s@a/b"),
            (values.origin, "static"),
            (values.dsn, "sentry"),
            (values.origin, "http://static.example/"),
            (values.storage, "s3://key@host/b"),
            *(
                (values.storage, text)
                for text in ("database", "database:?limit=0MB", "file:///data", "database:?limit=5", "database:x")
            ),
        ):
            with self.subTest(text), self.assertRaisesRegex(ValueError, "^(?!needs )"):  # a package
                parse(text)

    def test_broker_urls(self) -> None:
        """A broker's options are those that its client knows."""
        for url in (
            "redis://:p@a:6379",
            "rediss://a/0?ssl_cert_reqs=none",
            "rediss://a/0?ssl_cert_reqs=CERT_REQUIRED",
            f"rediss://a/?ssl_ca_certs={__file__}",
            "redis+socket://:p@/run/redis.sock?virtual_host=0",
            "amqp://u:p@a/shop",
            "amqps://a//?heartbeat=30&login_method=EXTERNAL",
        ):
            self.assertEqual(values.broker(url), url)
        with self.assertRaisesRegex(ValueError, "^has the option ssl_cert_reqs that is not one of none, optional, req"):
            values.broker("rediss://a/0?ssl_cert_reqs=maybe")

    def test_broker_options(self) -> None:
        """Redis redelivers a task a minute after the time limit; RabbitMQ confirms messages. Role web retries with
        neither."""
        self.assertEqual(production.broker_options("rediss://a/0", 600, "worker")["visibility_timeout"], 660)
        self.assertEqual(production.broker_options("amqp://a//", 600, "beat"), {"confirm_publish": True})
        for url in "rediss://a/0", "amqp://a//":
            self.assertEqual(production.broker_options(url, 600, "web")["max_retries"], 0)

    def test_static(self) -> None:
        """Static files come from a path here or an https URL. A missing slash at the end is added."""
        self.assertEqual(values.origin("https://static.example/shop"), "https://static.example/shop/")
        self.assertEqual(values.origin("/assets"), "/assets/")
        for text in (
            "//static.example/",
            "https://static.example/?v=1",
            "https://me:pw@static.example/",
            "/a/;x",
            "https://static.example/a b/",
            "https://static.example/a;script-src",
            "https://",
        ):
            with self.subTest(text), self.assertRaises(ValueError):
                values.origin(text)

    def test_policy(self) -> None:
        """Directives that allow the site itself also allow the host of static files; others stay unchanged. Images and
        media may come from the uploads' bucket."""
        directives: dict[str, Any] = {
            "default-src": ["'none'"],
            "script-src": ("'self'", "https://pay.example"),
            "style-src": "'self'",
            "img-src": ["data:"],
            "font-src": None,
            "form-action": ["'self'"],
            "upgrade-insecure-requests": True,
        }
        own = {"DIRECTIVES": directives, "EXCLUDE_URL_PREFIXES": ["/a/"]}
        self.assertEqual(production.policy(own, "/static/", {}), own)
        bucket = {"OPTIONS": {"endpoint_url": "https://b"}}
        wanted = {
            **directives,
            "default-src": ["'none'", "https://a/"],
            "script-src": ["'self'", "https://pay.example", "https://a/"],
            "style-src": ["'self'", "https://a/"],
            "img-src": ["data:", "https://b"],
            "media-src": ["'none'", "https://a/", "https://b"],
        }
        self.assertEqual(production.policy(own, "https://a/", bucket), {**own, "DIRECTIVES": wanted})
        self.assertEqual(production.policy(directives, "https://a/", bucket), wanted)  # as Django 6 has it
