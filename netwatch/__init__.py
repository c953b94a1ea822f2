"""netwatch: which apps on a network send data, whose they are, under which country's control, and on what evidence."""

__version__ = "0.1.0"
