"""What Docker says if an image cannot be pulled, by cause."""

GET = 'Get "https://r.example/v2/": '
CAUSES = {  # cause → Docker's words
    "disk": [
        "failed to register layer: write /usr/lib/x: no space left on device",
        "write /var/lib/docker/tmp/GetImageBlob1: disk quota exceeded",
    ],
    "DNS": [
        f"{GET}dial tcp: lookup r.example on 192.0.2.53:53: no such host",
        f"{GET}dial tcp: lookup r.example on 192.0.2.53:53: read udp 192.0.2.1:1->192.0.2.53:53: i/o timeout",
        f"{GET}dial tcp: lookup r.example: Temporary failure in name resolution",
        f"{GET}dial tcp: lookup r.example on [::1]:53: read udp [::1]:1->[::1]:53: read: connection refused",
        f"{GET}dial tcp: lookup r.example on 192.0.2.53:53: server misbehaving",
    ],
    "limit": ["toomanyrequests: You have reached your pull rate limit."],
    "name or access": [
        "pull access denied for r.example/shop, repository does not exist or may require 'docker login': denied:"
        " requested access to the resource is denied",
        "pull access denied, repository does not exist or may require authorization: server message:"
        " insufficient_scope: authorization failed",
    ],
    "access": [
        "unauthorized: authentication required",
        'Head "https://r.example/v2/shop/manifests/v2": denied: permission denied',
        f"{GET}no basic auth credentials",
        "unexpected status from HEAD request to https://r.example/v2/shop/manifests/v2: 403 Forbidden",
    ],
    "TLS": [
        f"{GET}x509: certificate signed by unknown authority",
        f"{GET}http: server gave HTTP response to HTTPS client",
        f"{GET}remote error: tls: handshake failure",
    ],
    "network": [
        f"{GET}net/http: request canceled while waiting for connection (Client.Timeout exceeded)",
        f"{GET}dial tcp 192.0.2.1:443: i/o timeout",
        f"{GET}net/http: TLS handshake timeout",
        f"{GET}context deadline exceeded",
        f"{GET}dial tcp 192.0.2.1:443: connect: connection refused",
        f"{GET}dial tcp 192.0.2.1:443: connect: no route to host",
        f"{GET}dial tcp 192.0.2.1:443: connect: network is unreachable",
        f"{GET}proxyconnect tcp: dial tcp 192.0.2.1:3128: connect: connection refused",
        "error pulling image configuration: download failed after attempts=6: read: connection reset by peer",
        "unexpected EOF",
    ],
    "name": [
        "manifest for r.example/shop:v2 not found: manifest unknown: manifest unknown",
        'failed to resolve reference "r.example/shop:v2": r.example/shop:v2: not found',
        "name unknown: repository name not known to registry",
    ],
    "other": ["the moon is full"],
}
