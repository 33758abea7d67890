"""Django's cache in Redis, which holds no request when it hangs."""

from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from django.core.cache.backends.redis import RedisCacheClient
from redis import Redis

from .patience import Fuse

fuse = Fuse("cache")


class Client(Redis):
    def execute_command(self, *args, **options):
        with fuse.guard():
            return super().execute_command(*args, **options)


class Clients(RedisCacheClient):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._client = Client


class RedisCache(DjangoRedisCache):
    def __init__(self, server, params):
        super().__init__(server, params)
        self._class = Clients
