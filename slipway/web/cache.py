"""Django's Redis cache, with calls that fail at once while Redis hangs (see breaker.py)."""

from django.core.cache.backends.redis import RedisCache as DjangoRedisCache

from .breaker import Breaker

breaker = Breaker("cache")
guarded = breaker.attempt()  # as a decorator, it makes each call in a `with` of its own


class RedisCache(DjangoRedisCache):
    """Django's cache in Redis, whose outages are quick and logged."""

    add = guarded(DjangoRedisCache.add)
    get = guarded(DjangoRedisCache.get)
    set = guarded(DjangoRedisCache.set)
    touch = guarded(DjangoRedisCache.touch)
    delete = guarded(DjangoRedisCache.delete)
    get_many = guarded(DjangoRedisCache.get_many)
    has_key = guarded(DjangoRedisCache.has_key)
    incr = guarded(DjangoRedisCache.incr)
    set_many = guarded(DjangoRedisCache.set_many)
    delete_many = guarded(DjangoRedisCache.delete_many)
    clear = guarded(DjangoRedisCache.clear)
