"""Kinds of text in the files that people write: signatures and policies."""

from typing import Annotated, TypeAlias

from msgspec import Meta

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024)]
Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z0-9][a-z0-9_-]*\\Z")]
Sources: TypeAlias = Annotated[list[Text], Meta(min_length=1, max_length=64)]
Country: TypeAlias = Annotated[str, Meta(pattern="^[A-Z]{2}\\Z")]
Day: TypeAlias = Annotated[str, Meta(pattern="^[0-9]{4}(-[01][0-9](-[0-3][0-9])?)?\\Z")]  # a year, a month or a day
