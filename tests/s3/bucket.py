"""A bucket for tests, with its own client beside Django's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Bucket:
    """A bucket: its name at a server, and the certificate to trust."""

    client: Any
    name: str
    port: int
    cert: Path

    @property
    def env(self):
        """Return a process's variables for the bucket. OLD_BUCKET is for movefiles."""
        return {"OLD_BUCKET": self.url, "SSL_CERT_FILE": str(self.cert), "AWS_CA_BUNDLE": ""}

    @property
    def url(self):
        return f"s3://key:s%2Fcret@127.0.0.1:{self.port}/{self.name}?region=eu"

    def create(self):
        self.client.create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": "eu"})

    def put(self, name, content):
        self.client.put_object(Bucket=self.name, Key=name, Body=content)

    def get(self, name):
        return self.client.get_object(Bucket=self.name, Key=name)["Body"].read()

    def names(self):
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {each["Key"] for each in found}
