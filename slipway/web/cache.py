"""Django's Redis cache, with calls that fail at once while Redis hangs (see breaker.py)."""

from typing import Any

from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from redis import Redis

from .breaker import Breaker

breaker = Breaker("cache")


class Client(Redis):
    def execute_command(self, *args: Any, **options: Any) -> Any:
        with breaker.attempt():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class RedisCache(DjangoRedisCache):
    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._cache._client = Client  # type: ignore[attr-defined]

    def disconnect(self) -> None:
        for pool in self._cache._pools.values():  # type: ignore[attr-defined]
            pool.disconnect()
