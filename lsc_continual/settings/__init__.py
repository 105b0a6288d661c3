"""Settings: a typed schema, and the ways from `key=value` to it and from it to words."""

from lsc_continual.settings.fields import Part, Setting, settings_of
from lsc_continual.settings.schema import Settings

__all__ = ["Part", "Setting", "Settings", "settings_of"]
