"""The value of a row: what leaves a verb, in place of the row that the verb holds.

The storage rule: verbs of `storage`, `curation` and `training` hold rows of the ORM, inside the
transaction of their caller; pages never do. What a verb gives back is a frozen value of
`storage.types`, which outlives the session and cannot write.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

from storage.tables import Base

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def value_of(noun: type[T], row: Base, **derived: object) -> T:
    """The value of a row: each field of the noun from the column of its name, or from `derived`.

    A new field needs a column and a line in the noun, nothing here.
    """
    names = [field.name for field in fields(noun) if field.name not in derived]
    return noun(**{name: getattr(row, name) for name in names}, **derived)
