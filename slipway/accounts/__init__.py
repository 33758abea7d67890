"""Sign-up and sign-in, by django-allauth."""
