"""Django's cache in Redis, which holds no request when it hangs."""

from typing import Any

from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from redis import Redis

from .breaker import Breaker

breaker = Breaker("cache")


class Client(Redis):
    """Redis' own, each command under the breaker."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command. Raises Hangs at once while Redis hangs."""
        with breaker.attempt():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class RedisCache(DjangoRedisCache):
    """Django's, with such a Client."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._cache._client = Client  # type: ignore[attr-defined]

    def disconnect(self) -> None:
        """Close all connections. Who needs one makes it anew."""
        for pool in self._cache._pools.values():  # type: ignore[attr-defined]
            pool.disconnect()
