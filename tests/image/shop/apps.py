from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"
    label = "shop_of_tests"  # the project may have a shop of its own
