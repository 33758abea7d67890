"""What production's variables may hold, and what becomes of it."""

from typing import Any

from django.test import SimpleTestCase

from .. import values


class Site(SimpleTestCase):
    def test_taken(self) -> None:
        """A public site's host alone is allowed, and it is secure. Only this machine may do without https, and then
        under all its names."""
        site = values.site("https://shop.example:8443/")
        self.assertEqual((site.host, site.origin, site.secure), ("shop.example", "https://shop.example:8443", True))
        self.assertEqual(values.hosts(site), ["shop.example"])
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


class Secrets(SimpleTestCase):
    RANDOM = "0123456789abcdef" * 4

    def test_taken(self) -> None:
        """What openssl prints will do, and of tokens what is shorter but can't be guessed; several keys, by commas."""
        self.assertEqual(values.secret_keys(f"{self.RANDOM}, {self.RANDOM}"), [self.RANDOM, self.RANDOM])
        self.assertEqual(values.token("q8Zp+w/3kRtY1uVb7xNc"), "q8Zp+w/3kRtY1uVb7xNc")

    def test_refused(self) -> None:
        """Short ones, dull ones, those that stand in samples, and what no header can hold."""
        for parse, text in ((parse, text) for parse, texts in (
                (values.secret_key, ("x", self.RANDOM[:49], "x" * 80, "abcabcabc" * 9, "django-insecure-" + self.RANDOM,
                                     "what-this-prints: openssl rand -hex 32 0123456789abcdef")),
                (values.secret_keys, (f"{self.RANDOM},",)),
                (values.token, ("s3cret-token", "0123456789abcdef012", "x" * 64, "changeme-0123456789abcdef",
                                "0123456789 abcdef 0123456789", "0123456789abcdef0123456789abcdef\xfc"))
        ) for text in texts):
            with self.subTest(text), self.assertRaises(ValueError) as caught:
                parse(text)
            self.assertNotIn(text, str(caught.exception)[3:])


class Services(SimpleTestCase):
    def test_mail(self) -> None:
        """TLS unless it is plainly said otherwise; user and password may hold any character."""
        for text, found in (("smtp://me%40here:p%2Fw@mail.example", ("me@here", "p/w", 587, True, False)),
                            ("smtps://mail.example", ("", "", 465, False, True)),
                            ("smtp+plain://mail.example:2525", ("", "", 2525, False, False))):
            mail = values.mail(text)
            self.assertEqual(tuple(mail[f"EMAIL_{name}"] for name in (
                "HOST_USER", "HOST_PASSWORD", "PORT", "USE_TLS", "USE_SSL")), found)

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
