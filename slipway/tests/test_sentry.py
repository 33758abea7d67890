import re
from typing import Any

from django.test import SimpleTestCase

from slipway.logs.sentry import scrub, scrub_event

# Texts, by two spaces or more. What is between ‹ and › must be hidden, and the rest stay.
TEXTS = r"""
SECRET_KEY=‹a1(b&c›  DJANGO_SECRET_KEY: ‹a1›  AWS_SECRET_ACCESS_KEY=‹a/1+›  os.environ['API_KEY'] = '‹a1›'  apiKey=‹a1›
token=‹a1›  reset_token: ‹a1› of ada  accessToken => "‹a1 b›"  --auth-token ‹a1› --user ada  csrfmiddlewaretoken=‹a1›
Bearer ‹a1.b-c›  HTTP_AUTHORIZATION: ‹Bearer a1›  Basic ‹YWRhOmJl›  Authorization: ‹Digest username="ada", response="1"›
pwd=‹a1›  Server=db;Uid=ada;Pwd=‹a1;›  MYSQL_PWD=‹a1›  PGPASSWORD=‹a1› psql  auth=‹('ada', 'a1')›  user_pass=‹a1›
password="‹a b›"  password='‹it''s \' b›' host=db  dbPassword = "‹a \" b›" x  passwd: ‹a,b›  --password ‹a1› ada
{"password": "‹a b›", "id": 1}  {\"secret\": \"‹a b›\", \"id\": 1}  {'pin': 1, 'api-key': b'‹a b›'}  "token": ‹1,›
postgres://‹ada:a/1›@db/shop  redis://‹:it's›@db:6379/1  'https://‹a1›@sentry.example/1'  amqp://‹ada:12345›@mq//
/reset?‹key=a1›  https://a.example/x?‹token=a1&b=c›  next%3Fpassword%3D‹a1›  smtp://‹ada@a.example:b@c›@mail.example
Cookie: ‹sessionid=a1; b="c d"›  Set-Cookie: ‹a=b›  -H "X-Api-Key: ‹a1›" -v  (b'cookie', b'‹a=b›')  cookies=‹{'a': 'b'}›
SECRET_KEY_FALLBACKS=‹['a 1', 'b']›  password="‹cut off here›  ‹eyJhbGciOi.eyJzdWIi.c2ln›  private key: ‹a1›
host=db dbname=shop connect_timeout=3  author=Ada  compass: north  the token is expired  3 of 5 pass: good  auth: no
https://medium.example/@ada  https://a.example:8000/@ada  mail to ada@a.example: 12:30  Basic authentication failed
Bearer tokens are refused  KeyError: 'password'  keyboard=de, monkey=1  passwordless=true, tokenizer=fast  why? because
"""


class Secrets(SimpleTestCase):
    def test_texts(self) -> None:
        """No password, key or token stays, in any usual spelling; all other text does."""
        marked = [text for line in TEXTS.splitlines() for text in line.split("  ") if text]
        self.assertGreater(len([text for text in marked if "‹" in text]), 40)
        for text in marked:
            with self.subTest(text):
                self.assertEqual(scrub(re.sub("[‹›]", "", text)), re.sub("‹.*?›", "[Filtered]", text))

    def test_a_private_key(self) -> None:
        """All lines of a private key are hidden, and of a value in quotes."""
        self.assertEqual(
            scrub("x -----BEGIN RSA PRIVATE KEY-----\na1\n-----END RSA PRIVATE KEY----- y\nkey='z'"),
            "x [Filtered] y\nkey='z'",
        )
        self.assertEqual(scrub("secret='a1\nb' c"), "secret='[Filtered]' c")

    def test_names(self) -> None:
        """A secret is recognized by its key, option or header name, at any depth. Figures and empty values stay."""
        event: Any = {
            "request": {"url": "/", "query_string": "a=1"},
            "level": "error",
            "extra": {
                "SECRET_KEY": "a1",
                "sys.argv": ["x", "--token", "a1", "b"],
                "deep": [{"db_password": ("a1",), "id": 7}],
                "headers": [["Cookie", "a=1"], ["Accept", "*"]],
                "token": None,
                "author": "Ada",
            },
        }
        self.assertEqual(
            scrub_event(event, {}),
            {
                "request": {"url": "/"},
                "level": "error",
                "extra": {
                    "SECRET_KEY": "[Filtered]",
                    "sys.argv": ["x", "--token", "[Filtered]", "b"],
                    "deep": [{"db_password": "[Filtered]", "id": 7}],
                    "headers": [["Cookie", "[Filtered]"], ["Accept", "*"]],
                    "token": None,
                    "author": "Ada",
                },
            },
        )
