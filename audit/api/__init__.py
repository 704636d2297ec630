"""Web routes beside the pages: images, sheets of thumbnails, queues, downloads; and who may ask.

`application` lists the routes, `guarding` checks Host and Origin, one module per kind of answer.
Everything is asked for by ids of known things; no path of a file ever comes from an address.
"""

from audit.api.application import guards, routes
from audit.api.guarding import announcing

__all__ = ["announcing", "guards", "routes"]
