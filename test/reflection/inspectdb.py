"""Prints Django's models of the tables in a schema: inspectdb.py URL SCHEMA"""
import sys
from urllib.parse import urlparse

import django
from django.conf import settings
from django.core.management import call_command

url, schema = urlparse(sys.argv[1]), sys.argv[2]
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": url.hostname,
            "PORT": url.port,
            "USER": url.username,
            "PASSWORD": url.password,
            "NAME": url.path[1:],
            "OPTIONS": {"options": f"-c search_path={schema}"},
        }
    }
)
django.setup()
call_command("inspectdb")
