"""What production's variables may hold, and what becomes of it."""

from typing import Any

from django.test import SimpleTestCase

from .. import values


class Site(SimpleTestCase):
    def test_https(self) -> None:
        """A public site: its host alone is allowed, and it is secure."""
        site = values.site("https://shop.example:8443/")
        self.assertEqual((site.host, site.origin, site.secure), ("shop.example", "https://shop.example:8443", True))
        self.assertEqual(values.hosts(site), ["shop.example"])

    def test_localhost(self) -> None:
        """Only this machine may do without https, and then under all its names."""
        for text in ("http://localhost:8000", "http://shop.localhost", "http://127.0.0.1", "http://[::1]:8000"):
            self.assertFalse(values.site(text).secure)
            self.assertIn("127.0.0.1", values.hosts(values.site(text)))

    def test_refused(self) -> None:
        """Anything else is refused, in words that do not repeat it."""
        for text in ("shop.example", "http://shop.example", "http://localhost.shop.example", "https://?", "ftp://a.b",
                     "https://a.b/shop", "https://a.b?c", "https://user@a.b", "https://a.b:port"):
            with self.subTest(text), self.assertRaises(ValueError) as caught:
                values.site(text)
            self.assertNotIn(text, str(caught.exception))


class SecretKey(SimpleTestCase):
    def test_random(self) -> None:
        """50 characters of hex digits will do."""
        self.assertTrue(values.secret_key("0123456789abcdef" * 4))

    def test_refused(self) -> None:
        """Short ones, dull ones, and those that stand in samples are refused."""
        random = "0123456789abcdef" * 4
        for text in ("x", random[:49], "x" * 80, "abcabcabc" * 9, "django-insecure-" + random, "changeme" + random,
                     "what-this-prints: openssl rand -hex 32 0123456789abcdef"):
            with self.subTest(text), self.assertRaises(ValueError):
                values.secret_key(text)

    def test_fallbacks(self) -> None:
        """Keys of before, by commas: each as good as the key itself."""
        key = "0123456789abcdef" * 4
        self.assertEqual(values.secret_keys(f"{key}, {key}"), [key, key])
        with self.assertRaises(ValueError):
            values.secret_keys(f"{key},")


class Token(SimpleTestCase):
    def test_random(self) -> None:
        """What openssl prints will do, and what is shorter but can't be guessed."""
        for text in ("0123456789abcdef" * 4, "q8Zp+w/3kRtY1uVb7xNc"):
            self.assertEqual(values.token(text), text)

    def test_refused(self) -> None:
        """Short ones and dull ones, and what no header can hold."""
        for text in ("x", "s3cret-token", "0123456789abcdef012", "x" * 64, "changeme-0123456789abcdef",
                     "0123456789 abcdef 0123456789", "0123456789abcdef0123456789abcdef\xfc"):
            with self.subTest(text), self.assertRaises(ValueError) as caught:
                values.token(text)
            self.assertNotIn(text, str(caught.exception)[3:])


class Services(SimpleTestCase):
    def test_mail(self) -> None:
        """TLS unless it is plainly said otherwise; user and password may hold any character."""
        mail = values.mail("smtp://me%40here:p%2Fw@mail.example")
        self.assertEqual((mail["EMAIL_HOST_USER"], mail["EMAIL_HOST_PASSWORD"]), ("me@here", "p/w"))
        self.assertEqual((mail["EMAIL_PORT"], mail["EMAIL_USE_TLS"], mail["EMAIL_USE_SSL"]), (587, True, False))
        mail = values.mail("smtps://mail.example")
        self.assertEqual((mail["EMAIL_PORT"], mail["EMAIL_USE_TLS"], mail["EMAIL_USE_SSL"]), (465, False, True))
        mail = values.mail("smtp+plain://mail.example:2525")
        self.assertEqual((mail["EMAIL_PORT"], mail["EMAIL_USE_TLS"], mail["EMAIL_USE_SSL"]), (2525, False, False))

    def test_refused(self) -> None:
        """What is no URL of its kind is refused."""
        for parse, text in ((values.mail, "mail.example"), (values.mail, "smtp://"), (values.broker, "kafka://a"),
                            (values.broker, "redis://"), (values.broker, "redis://a:b"), (values.bucket, "s3://a/b"),
                            (values.bucket, "https://k:s@a/b"), (values.origin, "static"), (values.dsn, "sentry"),
                            (values.origin, "http://static.example/")):
            with self.subTest(text), self.assertRaises(ValueError):
                parse(text)

    def test_broker_options(self) -> None:
        """Redis gives a task to another a minute after the longest it may take; RabbitMQ confirms what it has."""
        self.assertEqual(values.broker_options("rediss://a/0", 600)["visibility_timeout"], 660)
        self.assertEqual(values.broker_options("amqp://a//", 600), {"confirm_publish": True})

    def test_static(self) -> None:
        """Static files come from a path here or a server elsewhere; the slash at the end is ours to add."""
        self.assertEqual(values.origin("https://static.example/shop"), "https://static.example/shop/")
        self.assertEqual(values.origin("/assets"), "/assets/")
        for text in ("//static.example/", "https://static.example/?v=1", "https://me:pw@static.example/", "/a/;x",
                     "https://static.example/a b/", "https://static.example/a;script-src", "https://"):
            with self.subTest(text), self.assertRaises(ValueError):
                values.origin(text)

    def test_policy(self) -> None:
        """What pages load from the site itself they may load from there, too; what they never load stays as it is."""
        directives: dict[str, Any] = {
            "default-src": ["'none'"], "script-src": ("'self'", "https://pay.example"), "style-src": "'self'",
            "img-src": ["data:"], "font-src": None, "form-action": ["'self'"], "upgrade-insecure-requests": True}
        values.allow(directives, "https://a/")
        self.assertEqual(directives, {
            "default-src": ["'none'", "https://a/"], "script-src": ["'self'", "https://pay.example", "https://a/"],
            "style-src": ["'self'", "https://a/"], "img-src": ["data:"], "font-src": None, "form-action": ["'self'"],
            "upgrade-insecure-requests": True})
